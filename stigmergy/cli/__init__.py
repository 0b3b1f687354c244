"""The command line ``stig``. Nothing heavy is imported before a command needs it."""
