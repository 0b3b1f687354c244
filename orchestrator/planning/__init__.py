"""From an objective and a workflow template to a plan that is known to be a task graph."""

from orchestrator.planning.builtin import builtin_templates
from orchestrator.planning.check import check_plan
from orchestrator.planning.inputs import InputSpec
from orchestrator.planning.needs import derive_needs
from orchestrator.planning.port import Impasse, Planner
from orchestrator.planning.template import Template, load_template
from orchestrator.planning.template_planner import TemplatePlanner

__all__ = [
    "Impasse",
    "InputSpec",
    "Planner",
    "Template",
    "TemplatePlanner",
    "builtin_templates",
    "check_plan",
    "derive_needs",
    "load_template",
]
