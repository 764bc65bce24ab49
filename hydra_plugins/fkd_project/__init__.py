"""Puts the configs of a project before fkd's own."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from fkd.config import project


class ProjectSearchPath(SearchPathPlugin):
    """Hydra calls it before it looks for a config."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for each in reversed(project.active()):
            search_path.prepend("project", f"file://{each.conf}")
