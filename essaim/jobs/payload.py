"""The types of the workload that this installation runs: what goes into a job, and what comes out."""

import traceback
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from pydantic import BaseModel

from essaim.errors import SettingsError


@dataclass(frozen=True)
class Payload:
    """The pydantic models of a workload: of a job's request and result, and of a task's input and result."""

    request: type[BaseModel]
    task_input: type[BaseModel]
    task_result: type[BaseModel]
    result: type[BaseModel]


def load_payload(workload: str) -> Payload:
    """Import `payload` of the package with that name. Raises `SettingsError` if it is missing or incomplete."""
    names = ("Request", "TaskInput", "TaskResult", "Result")
    module = load_module(workload, "payload", names)
    return Payload(*(getattr(module, name) for name in names))


def load_module(workload: str, name: str, members: tuple[str, ...]) -> ModuleType:
    """Import a module of a workload's package, and check what it must define. Raises `SettingsError`."""
    try:
        module = import_module(f"{workload}.{name}")
    except ModuleNotFoundError as error:
        if error.name not in (workload, f"{workload}.{name}"):
            raise _not_importable(workload, name, error) from error
        raise SettingsError(f"ESSAIM_WORKLOAD: there is no module {workload}.{name}") from error
    except Exception as error:
        raise _not_importable(workload, name, error) from error
    if missing := [member for member in members if not hasattr(module, member)]:
        raise SettingsError(f"ESSAIM_WORKLOAD: {module.__file__} does not define {', '.join(missing)}")
    return module


def _not_importable(workload: str, name: str, error: Exception) -> SettingsError:
    *_, last = traceback.extract_tb(error.__traceback__)
    return SettingsError(
        f"ESSAIM_WORKLOAD: importing {workload}.{name} failed at {last.filename}:{last.lineno}: {error!r}"
    )
