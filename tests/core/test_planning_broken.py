"""Templates that are wrong: each is refused with the place, what is wrong, and what would be right."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from orchestrator.planning import load_template
from schemas.errors import InvalidWorkflow


@dataclass(frozen=True)
class Broken:
    """A template below the line ``workflow: w``, and what is said of it: ``line:column: message``, and the hint."""

    what: str
    text: str
    said: str
    hint: str


A = "tasks:\n  a: {skill: s}\n"
GROUP = A + 'groups:\n  g:\n    for_each: "${a.output.list}"\n'

TABLE = [
    Broken("misspelt top key", "task: {}\n", "2:1: a workflow has no key 'task'", "did you mean 'tasks'?"),
    Broken("misspelt task key", "tasks:\n  a: {skil: s}\n", "3:7: task 'a' has no key 'skil'", "did you mean 'skill'?"),
    Broken("no skill", "tasks:\n  a: {intent: I}\n", "3:6: task 'a' has no skill", "skill: echo"),
    Broken("empty", "tasks: {}\n", "2:8: the workflow is empty", "at least one task"),
    Broken("no tasks key", "title: x\n", "1:1: the workflow is empty", "at least one task"),
    Broken("tasks as list", "tasks: [a]\n", "2:8: 'tasks' is of type array", "write a mapping"),
    Broken("task as text", "tasks:\n  a: echo\n", "3:6: task 'a' is the string 'echo', not a mapping", "skill:"),
    Broken("unknown need", A + "  b: {skill: s, needs: [aa]}\n", "4:25: 'b' needs 'aa', which is not there", "'a'"),
    Broken("needs itself", "tasks:\n  a: {skill: s, needs: [a]}\n", "3:25: 'a' needs itself", "remove it"),
    Broken(
        "refers to itself",
        'tasks:\n  a: {skill: s, inputs: {x: "${a.output}"}}\n',
        "3:29: ${a.output}: 'a' refers to itself",
        "refer to what came before it",
    ),
    Broken(
        "cycle of needs",
        "tasks:\n  a: {skill: s, needs: b}\n  b: {skill: s, needs: a}\n",
        "3:6: a cycle, in which each needs the next: a -> b -> a",
        "break it",
    ),
    Broken(
        "cycle of references",
        'tasks:\n  a: {skill: s, workspace: "${b.workspace}"}\n  b: {skill: s, inputs: {x: "${a.output}"}}\n',
        "3:6: a cycle, in which each needs the next: a -> b -> a",
        "break it",
    ),
    Broken(
        "cycle through a group",
        'tasks:\n  a: {skill: s, needs: [g]}\ngroups:\n  g: {for_each: "${a.output}", tasks: {f: {skill: s}}}\n',
        "3:6: a cycle, in which each needs the next: a -> g -> a",
        "break it",
    ),
    Broken(
        "cycle inside a group",
        GROUP + "    tasks:\n      f: {skill: s, needs: [h]}\n      h: {skill: s, needs: [f]}\n",
        "8:10: a cycle, in which each needs the next: f -> h -> f",
        "break it",
    ),
    Broken(
        "unknown reference",
        A + '  b: {skill: s, inputs: {x: "${analyse.output}"}}\n',
        "4:29: ${analyse.output}: nothing is called 'analyse' here",
        "there is 'a', 'b', 'inputs'",
    ),
    Broken(
        "misspelt part",
        A + '  b: {skill: s, inputs: {x: "${a.outputs.y}"}}\n',
        "4:29: ${a.outputs.y}: a task has no 'outputs'",
        "did you mean 'output'?",
    ),
    Broken(
        "part left out",
        A + '  b: {skill: s, inputs: {x: "${a.groups}"}}\n',
        "4:29: ${a.groups}: a task has no 'groups'",
        "${a.output.groups}?",
    ),
    Broken(
        "no part at all",
        A + '  b: {skill: s, inputs: {x: "${a}"}}\n',
        "4:29: ${a}: it is not said what of 'a' is meant",
        "${a.output}",
    ),
    Broken(
        "undeclared input",
        'inputs: {workspace: object}\ntasks:\n  a: {skill: s, workspace: "${inputs.workspce}"}\n',
        "4:28: ${inputs.workspce}: no input 'workspce' is declared",
        "did you mean 'workspace'?",
    ),
    Broken(
        "no reference at all",
        'tasks:\n  a: {skill: s, inputs: {x: "${a b}"}}\n',
        "3:29: ${a b} is no reference",
        "write names with dots",
    ),
    Broken(
        "reference without end",
        'tasks:\n  a: {skill: s, workspace: "${inputs.x"}\n',
        "3:28: a reference in '${inputs.x' does not end",
        "close it with '}'",
    ),
    Broken(
        "workspace that is no reference",
        "tasks:\n  a: {skill: s, workspace: srv/me}\n",
        "3:28: the workspace is 'srv/me', not a reference",
        "write one reference",
    ),
    Broken(
        "group's task from outside",
        GROUP + '    tasks: {f: {skill: s}}\nresult: {x: "${f.output}"}\n',
        "8:13: ${f.output}: there is no single task 'f'",
        "${g[*].f.output}",
    ),
    Broken(
        "need of a group's task",
        "tasks:\n  a: {skill: s}\n  b: {skill: s, needs: [f]}\n"
        'groups:\n  g: {for_each: "${a.output}", tasks: {f: {skill: s}}}\n',
        "4:25: 'b' needs 'f', which is not there",
        "it is a task of group 'g': need the group",
    ),
    Broken(
        "group without branches",
        GROUP + '    tasks: {f: {skill: s}}\nresult: {x: "${g.f.output}"}\n',
        "8:13: ${g.f.output}: 'g' is a group, and it is not said what of its branches is meant",
        "${g[*].f.output}",
    ),
    Broken(
        "unknown task of a group",
        GROUP + '    tasks: {fix: {skill: s}}\nresult: {x: "${g[*].fxi.output}"}\n',
        "8:13: ${g[*].fxi.output}: group 'g' has no task 'fxi'",
        "did you mean 'fix'?",
    ),
    Broken(
        "own group from inside",
        GROUP + '    tasks: {f: {skill: s, inputs: {x: "${g[*].item}"}}}\n',
        "7:39: ${g[*].item}: a task of group 'g' cannot wait for the whole group",
        "",
    ),
    Broken(
        "variable shadows a task",
        GROUP + "    as: a\n    tasks: {f: {skill: s}}\n",
        "7:9: the variable 'a' of group 'g' shadows",
        "choose another name",
    ),
    Broken(
        "variable shadows a sibling",
        GROUP + "    as: f\n    tasks: {f: {skill: s}}\n",
        "7:9: the variable 'f' of group 'g' shadows",
        "choose another name",
    ),
    Broken(
        "group's task hides another",
        GROUP + "    tasks: {a: {skill: s}}\n",
        "7:13: 'a' cannot be used here: a task or group outside has that name",
        "rename",
    ),
    Broken("reserved name", "tasks:\n  inputs: {skill: s}\n", "3:3: 'inputs' cannot be used here", "rename it"),
    Broken(
        "group and task alike",
        'tasks:\n  g: {skill: s}\ngroups:\n  g: {for_each: "${inputs}", tasks: {f: {skill: s}}}\n',
        "5:3: 'g' cannot be used here: there is a task of that name",
        "rename it",
    ),
    Broken("group without tasks", GROUP, "6:5: group 'g' has no tasks", "at least one task under 'tasks'"),
    Broken(
        "group without a list",
        A + "groups:\n  g: {tasks: {f: {skill: s}}}\n",
        "5:6: group 'g' has no 'for_each'",
        "say what to go through",
    ),
    Broken(
        "list that is no reference",
        A + "groups:\n  g: {for_each: abc, tasks: {f: {skill: s}}}\n",
        "5:17: the list to go through is 'abc', not a reference",
        "${inputs.name}",
    ),
    Broken("duplicate id", A + "  a: {skill: t}\n", "4:3: 'a' is there twice, first on line 3", "rename or remove"),
    Broken("dotted name", "tasks:\n  a.b: {skill: s}\n", "3:3: 'a.b' cannot be a name", "dots mean something else"),
    Broken("unknown goal", "tasks:\n  a: {skill: s, goal: x}\n", "3:23: no goal is called 'x'", "there is 'mission'"),
    Broken(
        "goals in a circle",
        "goals: {x: {parent: y}, y: {parent: x}}\n" + A,
        "2:12: goals lie below themselves: x -> y -> x",
        "change one 'parent'",
    ),
    Broken(
        "goal inside a group",
        "goals: {x: {}}\n" + GROUP + "    tasks: {f: {skill: s, goal: x}}\n",
        "8:33: task 'f' of group 'g' serves the goal of its branch",
        "goal: x",
    ),
    Broken(
        "wrong type", "tasks:\n  a: {skill: [s]}\n", "3:14: 'skill' is of type array: input should be a valid s", ""
    ),
    Broken("priority too high", "tasks:\n  a: {skill: s, priority: 10}\n", "3:27: 'priority' is the integer 10", ""),
    Broken(
        "no truth value", GROUP + "    optional_branches: yes\n", "7:24: 'optional_branches' is the string 'yes'", ""
    ),
    Broken("bad duration", "tasks:\n  a: {skill: s, timeout: soon}\n", "3:26: 'soon' is no duration", "10m"),
    Broken("bad deadline", "deadline: 0\n" + A, "2:11: 0 is no time at all", "above 0"),
    Broken("bad retry", "tasks:\n  a: {skill: s, retry: {times: 3}}\n", "3:25: retry has no key 'times'", "there is"),
    Broken("retry never", "tasks:\n  a: {skill: s, retry: 0}\n", "3:24: 'max_attempts' is the integer 0", ""),
    Broken(
        "unknown expectation",
        "tasks:\n  a: {skill: s, expects: [test_pass]}\n",
        "3:27: no expectation is called 'test_pass'",
        "did you mean 'tests_pass'?",
    ),
    Broken(
        "expectation lacks its parameter",
        "tasks:\n  a: {skill: s, expects: [tests_no_worse]}\n",
        "3:27: tests_no_worse lacks 'baseline'",
        "{tests_no_worse: <baseline>}",
    ),
    Broken(
        "unknown parameter",
        "tasks:\n  a: {skill: s, expects: [{files_changed_within: x, atleast: 1}]}\n",
        "3:27: files_changed_within has no parameter 'atleast'",
        "did you mean 'at_least'?",
    ),
    Broken(
        "parameter of the wrong type",
        "tasks:\n  a: {skill: s, expects: [{exit_code: zero}]}\n",
        "3:27: code of exit_code: Input should be a valid integer, not 'zero'",
        "",
    ),
    Broken(
        "parameter there twice",
        "tasks:\n  a: {skill: s, expects: [{exit_code: 0, code: 1}]}\n",
        "3:27: exit_code has 'code' twice",
        "write it once",
    ),
    Broken(
        "unknown name inside a group",
        GROUP + '    as: thing\n    tasks: {f: {skill: s, inputs: {x: "${thign.id}"}}}\n',
        "8:39: ${thign.id}: nothing is called 'thign' here",
        "did you mean 'thing'?",
    ),
    Broken("too many digits", "tasks: {a: {skill: s, inputs: {x: 1234567890123456789}}}\n", "2:35: an integer", "text"),
    Broken(
        "two expectations in one",
        "tasks:\n  a: {skill: s, expects: [{exit_code: 0, output_has: x}]}\n",
        "3:27: one entry holds exit_code and output_has",
        "its own '-'",
    ),
    Broken(
        "parameter for none",
        "tasks:\n  a: {skill: s, expects: [{tests_pass: yes}]}\n",
        "3:27: tests_pass takes no parameter",
        "write just tests_pass",
    ),
    Broken("unknown type of an input", "inputs: {x: list}\n" + A, "2:13: 'list' is no type", "did you mean 'array'?"),
    Broken(
        "default of another type",
        "inputs: {x: {type: integer, default: a}}\n" + A,
        "2:38: the default is the string 'a', not of type integer",
        "",
    ),
    Broken(
        "required with a default",
        "inputs: {x: {required: true, default: 1}}\n" + A,
        "2:24: input 'x' is required and has a default",
        "remove one",
    ),
    Broken("result as text", A + 'result: "${a.output}"\n', "4:9: 'result' is the string '${a.output}'", "a mapping"),
    Broken("tab", "tasks:\n\ta: {skill: s}\n", "3:1: a tab where YAML wants spaces", "indent with spaces"),
    Broken("not YAML", "tasks: [a\n", "3:1: not YAML: while parsing a flow sequence", "check indentation"),
    Broken("a second document", A + "---\nb: 1\n", "4:1: a second document", "one workflow to a file"),
    Broken("a tag", "tasks: !!python/object:os.system {}\n", "2:8: tags such as", "write plain values"),
    Broken("alias of itself", "tasks: &t {a: *t}\n", "2:15: alias *t has no anchor before it", "define it above"),
    Broken("merge key", "tasks: {<<: {}}\n", "2:9: merge keys are not supported", "write the entries out"),
    Broken("half a character", 'title: "\\ud800"\n', "2:8: half a surrogate pair", "the character itself"),
    Broken(
        "number out of range", "tasks: {a: {skill: s, inputs: {x: 1e999}}}\n", "2:35: 1e999 is out of range", "1e308"
    ),
]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.what)
def test_a_broken_template_is_refused_with_place_cause_and_mend(case: Broken) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        load_template(f"workflow: w\n{case.text}", "w.yaml")
    assert f"w.yaml:{case.said}" in caught.value.message
    assert case.hint in caught.value.hint
    assert caught.value.message.count("\n") == 0, "one flaw is one line"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "w.yaml:1:1: the workflow is empty"),
        ("# nothing\n", "w.yaml:1:1: the workflow is empty"),
        ("- a\n", "w.yaml:1:1: a workflow is of type array, not a mapping"),
        ("tasks: {a: {skill: s}}\n", "w.yaml:1:1: 'workflow' is missing"),
        ("workflow: a b\ntasks: {a: {skill: s}}\n", "w.yaml:1:11: 'a b' cannot be a name"),
        ("workflow: 7\ntasks: {a: {skill: s}}\n", "w.yaml:1:11: 'workflow' is the integer 7"),
        ("workflow: w\x00", "w.yaml: not YAML"),
    ],
)
def test_what_is_no_workflow_at_all(text: str, said: str) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        load_template(text, "w.yaml")
    assert said in caught.value.message


def test_several_problems_are_reported_at_once() -> None:
    text = "workflow: w\ntasks:\n  a: {skil: s}\n  b: {skill: s, timeout: soon, needs: [zzz]}\n  c: {}\n"
    with pytest.raises(InvalidWorkflow) as caught:
        load_template(text, "w.yaml")
    places = [line.split(": ")[0] for line in caught.value.message.splitlines()]
    assert places == ["w.yaml:3:7", "w.yaml:4:26", "w.yaml:5:6"]
    assert "w.yaml:3:7: did you mean 'skill'?" in caught.value.hint.splitlines()
