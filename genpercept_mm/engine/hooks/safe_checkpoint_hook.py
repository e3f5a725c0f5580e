"""Checkpoints that survive a full disk and say what they predict."""
import os
import os.path as osp

from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from genpercept_mm.registry import HOOKS
from genpercept_mm.utils.arguments import check_keywords
from genpercept_mm.utils.files import write_whole
from genpercept_mm.utils.plain import to_plain

from ..model_wrappers import unwrap_model


class AtomicLocalBackend(LocalBackend):
    """The local file system, writing files completely or not at all."""

    def put(self, obj, filepath):
        """Write bytes to a file, whose folder is created when missing.

        Raises:
            OSError: If the content cannot be written; an older file of that
                name is kept, and the message names the file.
        """
        def write(temporary):
            with open(temporary, 'wb') as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())

        try:
            write_whole(filepath, write)
        except OSError as error:
            raise OSError(
                error.errno,
                f'cannot write {filepath} ({error.strerror}); earlier '
                f'checkpoints beside it are intact. Free '
                f'{len(obj) / 2**20:.0f} MiB and continue with --resume'
            ) from error


register_backend('genpercept_mm.atomic', AtomicLocalBackend, force=True)


class _LateRemoval:
    """A file backend that postpones removals."""

    def __init__(self, backend):
        self.backend, self.removals = backend, []

    def __getattr__(self, name):
        return getattr(self.backend, name)

    def remove(self, path):
        self.removals.append((self.backend.remove, path))

    def rmtree(self, path):
        self.removals.append((self.backend.rmtree, path))

    def flush(self, keep):
        for remove, path in self.removals:
            # with a constant file name, the outdated file is the new one
            if path not in keep:
                remove(path)


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook`` that always leaves a complete checkpoint.

    The stock hook removes outdated checkpoints before it writes the new
    one, and writes in place, so that a full disk leaves nothing but a
    truncated file. Here files are written under another name and renamed,
    and outdated ones are removed last. The arguments are those of mmengine's
    ``CheckpointHook``; with other back ends (``backend_args``), files are
    written as by that hook.

    Raises:
        TypeError: If an argument is unknown.
    """

    def __init__(self, *args, **kwargs):
        # the stock hook would pass others on and fail at the first save
        check_keywords('SafeCheckpointHook', kwargs,
                       [CheckpointHook.__init__, Runner.save_checkpoint],
                       "those of mmengine's CheckpointHook")
        super().__init__(*args, **kwargs)

    def before_train(self, runner):
        """Set up the output folder."""
        super().before_train(runner)
        if self.backend_args is None and isinstance(self.file_backend,
                                                    LocalBackend):
            self.backend_args = dict(backend='genpercept_mm.atomic')

    def before_save_checkpoint(self, runner, checkpoint):
        """Record ``quantity`` (str), ``codec`` (dict, as in the config) and
        ``arch`` (of the backbone) in ``meta``, where the model has them."""
        model = unwrap_model(runner.model)
        codec = getattr(model, 'codec', None)
        arch = getattr(getattr(model, 'backbone', None), 'arch', None)
        if codec is not None:
            checkpoint['meta'].update(
                quantity=codec.quantity, codec=to_plain(codec.cfg))
        if arch is not None:
            checkpoint['meta']['arch'] = to_plain(arch)

    def _save_checkpoint_with_step(self, runner, step, meta):
        pointer = osp.join(runner.work_dir, 'last_checkpoint')
        before = None
        if osp.isfile(pointer):
            with open(pointer) as file:
                before = file.read()
        try:
            self._save_then_remove(super()._save_checkpoint_with_step,
                                   runner, step, meta)
        except OSError:
            # mmengine writes the file that --resume reads in place
            if before and osp.getsize(pointer) == 0:
                with open(pointer, 'w') as file:
                    file.write(before)
            raise

    def _save_best_checkpoint(self, runner, metrics):
        self._save_then_remove(super()._save_best_checkpoint, runner, metrics)

    def _save_then_remove(self, save, *args):
        backend = self.file_backend
        self.file_backend = _LateRemoval(backend)
        try:
            save(*args)
            self.file_backend.flush({
                self.last_ckpt,
                getattr(self, 'best_ckpt_path', None),
                *getattr(self, 'best_ckpt_path_dict', {}).values()
            })
        finally:
            self.file_backend = backend
