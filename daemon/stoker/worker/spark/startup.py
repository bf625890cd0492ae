"""What makes Spark's executors start faster on this worker: shared class data and unpacked Python files."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stoker.config.worker import WorkerConfig
from stoker.worker.keeper.messages import ToKeeper
from stoker.worker.spark.class_data import ClassData
from stoker.worker.spark.python_views import PythonViews


class SparkStartup:
    """``worker`` is the slot's name, ``environ`` what programs inherit, ``say`` talks to the keeper, ``in_loop`` runs a call
    in the loop's thread. A part that the settings switch off does nothing."""

    def __init__(
        self,
        config: WorkerConfig,
        worker: str,
        *,
        environ: Mapping[str, str],
        say: Callable[[ToKeeper], None],
        in_loop: Callable[[Callable[[], None]], None],
    ) -> None:
        folder = config.work_dir / ".stoker"
        self._class_data = ClassData(
            folder / "class-data", worker, is_on=config.class_data_sharing, environ=environ, say=say, in_loop=in_loop
        )
        self._python_views = PythonViews(folder / "spark-python", worker, is_on=config.unpack_python, in_loop=in_loop)
        self.archive_for, self.view_for = self._class_data.archive_for, self._python_views.view_for
        self.on_keeper = self._class_data.on_keeper
        self.left_over, self.keeper_lost = self._class_data.left_over, self._class_data.keeper_lost

    @property
    def is_idle(self) -> bool:
        """Whether the keeper runs no process for this."""
        return not self._class_data.is_making

    def look(self, now: float) -> None:
        """``now`` is monotonic."""
        self._class_data.look(now)
        self._python_views.look(now)

    def next_deadline(self) -> float:
        return min(self._class_data.next_deadline(), self._python_views.next_deadline())

    def stop(self) -> None:
        """Stop making archives, because the worker stops."""
        self._class_data.stop()

    def close(self) -> None:
        self._class_data.close()
        self._python_views.close()
