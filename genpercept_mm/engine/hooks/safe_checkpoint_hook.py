"""Checkpoints that survive a full disk and say what they predict."""
import logging
import math
import os
import os.path as osp
import re
import zipfile

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.runner import Runner

from genpercept_mm.registry import HOOKS
from genpercept_mm.utils.arguments import check_keywords
from genpercept_mm.utils.files import PART, write_bytes
from genpercept_mm.utils.finite import wrong_weights
from genpercept_mm.utils.plain import to_plain

from .finite_guard_hook import last_step_failed
from ..early_stopping import resume_early_stopping, save_early_stopping
from ..model_wrappers import unwrap_model

POINTER = 'last_checkpoint'


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

    The stock hook removes outdated checkpoints before it writes the new one,
    so that a full disk leaves nothing but a truncated file. Here outdated ones
    are removed last, and `genpercept_mm.compat` writes files whole or not at
    all. Beside this,

    - a run reads and removes files of its own folder only: ``--resume`` finds
      the newest checkpoint in the work dir by its name, even if the folder was
      renamed, and best checkpoints of another run are left alone,
    - what ``EarlyStoppingHook`` has seen is resumed,
    - weights that are not finite are not saved, and nothing is removed after a
      step that failed (see `FiniteGuardHook`),
    - the rule of ``save_best`` is what the metric states (``BETTER``), unless
      ``rule`` is set; where mmengine guesses, a log line says so.

    The arguments are those of mmengine's ``CheckpointHook``.

    Raises:
        TypeError: If an argument is unknown.
    """

    def __init__(self, *args, **kwargs):
        # the stock hook would pass others on and fail at the first save
        check_keywords('SafeCheckpointHook', kwargs,
                       [CheckpointHook.__init__, Runner.save_checkpoint],
                       "those of mmengine's CheckpointHook")
        # mmengine would guess, or fail where it cannot, before the metrics
        # are known
        self._given_rule = kwargs.get('rule')
        self._metrics = None
        if kwargs.get('save_best') is not None and self._given_rule is None:
            kwargs['rule'] = 'greater'
        super().__init__(*args, **kwargs)

    def before_run(self, runner):
        """Choose the checkpoint that an automatic resume continues from, and
        leave out ``pretrained``, whose weights the checkpoint has."""
        if not runner._resume:
            return
        if runner._load_from is None:
            runner._load_from = find_newest_checkpoint(
                runner.work_dir, _folder(runner, self.out_dir))
        if runner._load_from is None:
            # mmengine would resume from what an empty file names
            runner._resume = False
            print_log(
                f'{runner.work_dir} has no checkpoint to resume; the training '
                'starts anew.', logger='current', level=logging.WARNING)
            return
        for module in unwrap_model(runner.model).modules():
            if hasattr(module, 'skip_pretrained'):
                module.skip_pretrained = True

    def before_train(self, runner):
        """Set up the output folder and the rule of ``save_best``."""
        super().before_train(runner)
        if is_main_process() and osp.isdir(self.out_dir):
            # a process that was killed while it wrote
            for name in os.listdir(self.out_dir):
                if name.startswith(PART) and name.endswith('.part'):
                    os.remove(osp.join(self.out_dir, name))
        if self.save_best is not None:
            self._forget_strangers(runner)
            if self._given_rule is None:
                self._set_rules(runner)

    def _forget_strangers(self, runner):
        """Forget best checkpoints that are not in this run's folder."""
        info = runner.message_hub.runtime_info
        for key in list(info):
            if not re.fullmatch(r'best_ckpt(_.+)?', key) or not info[key]:
                continue
            own = osp.join(self.out_dir, osp.basename(info[key]))
            if not self.file_backend.exists(own):
                print_log(
                    f'{info[key]}, the best checkpoint so far, is not in '
                    f'{self.out_dir}; it is left alone, and the best of this '
                    'run is kept beside it.', logger='current')
                own = None
                info.pop(key.replace('best_ckpt', 'best_score'), None)
            info[key] = own
            if key == 'best_ckpt':
                self.best_ckpt_path = own
            else:
                self.best_ckpt_path_dict[key[len('best_ckpt_'):]] = own

    def _set_rules(self, runner):
        """Take the rules of ``save_best`` from the metrics that are used."""
        metrics = getattr(getattr(runner.val_loop, 'evaluator', None),
                          'metrics', ())
        self.rules, guessed = [], []
        for key in self.key_indicators:
            rule = next((
                metric.BETTER[key.rpartition('/')[2]] for metric in metrics
                if key.rpartition('/')[2] in getattr(metric, 'BETTER', {})
                and (metric.prefix or '') == key.rpartition('/')[0]), None)
            if rule is None and key != 'auto':
                rule = self._guess(key)
                if key.rpartition('/')[2] not in (
                        *self.greater_keys, *self.less_keys):
                    guessed.append(f'{key!r}: {rule!r}')
            self.rules.append(rule)
            if rule is not None:
                self.is_better_than[key] = self.rule_map[rule]
        if guessed:
            print_log(
                'The rule of save_best is guessed from the name of the metric '
                f'({", ".join(guessed)}); set rule in default_hooks.checkpoint'
                ' if that is wrong.', logger='current', level=logging.WARNING)

    def _guess(self, key):
        """Guess as mmengine does, but from the name after the prefix alone."""
        return CheckpointHook(save_best=key.rpartition('/')[2]).rules[0]

    def before_save_checkpoint(self, runner, checkpoint):
        """Record ``quantity`` (str), ``codec`` (dict, as in the config) and
        ``arch`` (of the backbone) in ``meta``, where the model has them.

        Raises:
            ValueError: If a weight is not finite.
        """
        wrong = wrong_weights(checkpoint['state_dict'], runner.model)
        if wrong:
            raise ValueError(
                f'{len(wrong)} weights are not finite after iteration '
                f'{checkpoint["meta"]["iter"]}, such as {wrong[0]}, and are '
                f'not saved; earlier checkpoints in {self.out_dir} are intact.'
                ' Lower the learning rate or clip gradients, and continue with'
                ' --resume.')
        model = unwrap_model(runner.model)
        codec = getattr(model, 'codec', None)
        arch = getattr(getattr(model, 'backbone', None), 'arch', None)
        meta = checkpoint['meta']
        if codec is not None:
            meta.update(quantity=codec.quantity, codec=to_plain(codec.cfg))
        if arch is not None:
            meta['arch'] = to_plain(arch)
        if 'dataset_meta' in meta:  # mmpose's holds arrays
            meta['dataset_meta'] = to_plain(meta['dataset_meta'])
        save_early_stopping(runner, checkpoint, self, self._metrics)

    def after_load_checkpoint(self, runner, checkpoint):
        """Restore what early stopping has seen, and the description of the
        data set where it is the same, which mmengine compares as bytes."""
        if not runner._resume:
            return
        resume_early_stopping(runner, checkpoint)
        meta = checkpoint.get('meta') or {}
        own = getattr(runner.train_dataloader.dataset, 'metainfo', None)
        if own is not None and to_plain(meta.get('dataset_meta')) == (
                to_plain(own)):
            meta['dataset_meta'] = own

    def _save_checkpoint_with_step(self, runner, step, meta):
        pointer = osp.join(runner.work_dir, POINTER)
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
                write_bytes(pointer, before.encode())
            raise

    def _save_best_checkpoint(self, runner, metrics):
        if self.save_best is None:
            return
        for key in self.key_indicators:
            score = metrics.get(key)
            if isinstance(score, (int, float)) and not math.isfinite(score):
                print_log(
                    f'save_best: {key} is {score} at iteration {runner.iter}, '
                    'so these weights are not compared with the best.',
                    logger='current', level=logging.WARNING)
                return
        if self.key_indicators == ['auto'] and self._given_rule is None:
            self.key_indicators = [next(iter(metrics))]
            self._set_rules(runner)
        self._metrics = metrics
        try:
            self._save_then_remove(
                super()._save_best_checkpoint, runner, metrics)
        finally:
            self._metrics = None

    def _save_then_remove(self, save, *args):
        backend = self.file_backend
        self.file_backend = _LateRemoval(backend)
        try:
            save(*args)
            if not last_step_failed(args[0]):
                self.file_backend.flush({
                    self.last_ckpt,
                    getattr(self, 'best_ckpt_path', None),
                    *getattr(self, 'best_ckpt_path_dict', {}).values()
                })
        finally:
            self.file_backend = backend


def load_where_nothing_resumes(runner, load_from):
    """Let a runner that shall resume load ``load_from`` where no checkpoint is
    there yet; mmengine would begin with the weights of the config."""
    out_dir = next((hook.out_dir for hook in runner.hooks
                    if isinstance(hook, CheckpointHook)), None)
    if find_newest_checkpoint(
            runner.work_dir, _folder(runner, out_dir)) is None:
        runner._resume, runner._load_from = False, load_from
        print_log(
            f'{runner.work_dir} has no checkpoint to resume; the training '
            f'starts anew, from {load_from}.', logger='current',
            level=logging.WARNING)


def _folder(runner, out_dir):
    """Return the folder of the checkpoints, as mmengine sets it later."""
    if out_dir in (None, runner.work_dir):
        return runner.work_dir
    name = osp.basename(osp.abspath(runner.work_dir))
    return (out_dir if osp.basename(out_dir) == name
            else osp.join(out_dir, name))


def find_newest_checkpoint(*folders):
    """Find the checkpoint from which to resume a run.

    That is the one which ``last_checkpoint`` of the first folder names, by its
    file name in one of the folders, or else the readable one of the most
    iterations or epochs. Returns its path, or None if there is none.
    """
    pointer, name = osp.join(folders[0], POINTER), ''
    if osp.isfile(pointer):
        with open(pointer, encoding='utf-8', errors='surrogateescape') as file:
            # the folder may come from another system
            name = re.split(r'[/\\]', file.read().strip().rstrip('/\\'))[-1]
    named = [osp.join(folder, name) for folder in folders if name]
    others = [(int(match[1]), osp.join(folder, file)) for folder in folders
              if osp.isdir(folder) for file in os.listdir(folder)
              for match in [re.fullmatch(r'(?:iter|epoch)_(\d+)\.pth', file)]
              if match]
    others = [path for _, path in sorted(others, reverse=True)]
    for path in [*named, *others]:
        if osp.isdir(path) or is_whole(path):  # DeepSpeed saves folders
            if named and path not in named:
                print_log(
                    f'{pointer} names {name}, which is missing or truncated; '
                    f'resuming from {path}.', logger='current',
                    level=logging.WARNING)
            return path
    return None


def is_whole(path):
    """Tell whether a file is a zip archive with its end, as torch saves."""
    return osp.isfile(path) and zipfile.is_zipfile(path)
