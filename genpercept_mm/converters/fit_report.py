"""Name everything that does not fit at once."""


class FitReport:
    """Collect what does not fit an architecture.

    Attributes:
        problems (list[str]): A phrase for each tensor.
    """

    def __init__(self):
        self.problems = []

    def compare(self, part, given, expected):
        """Note the tensors of a part that do not fit.

        Args:
            part (str): Name of the part in messages.
            given (dict[str, Tensor]): Weights.
            expected (dict[str, tuple[int]]): Shape by name.
        """
        for problem, keys in (
                ('is missing', [k for k in expected if k not in given]),
                ('has no place', [k for k in given if k not in expected])):
            self.problems += [f'{part}: {key} {problem}' for key in keys]
        self.problems += [
            f'{part}: {key} is {tuple(given[key].shape)}, must be {shape}'
            for key, shape in expected.items()
            if key in given and tuple(given[key].shape) != shape]

    def close(self, arch):
        """Refuse weights with which something was wrong.

        Args:
            arch (str | dict): Architecture to name, see `SDUNet`.

        Raises:
            ValueError: If there are problems; its message lists them all.
        """
        if self.problems:
            name = arch if isinstance(arch, str) else 'of config.json'
            raise ValueError(
                f'{len(self.problems)} tensors do not fit the architecture '
                f'{name}:\n  ' + '\n  '.join(self.problems))
