"""Parts of a model that are on the device by turns."""
import functools


class PartsInTurn:
    """Keep the weights of parts in the memory of the CPU, but for the one that
    runs.

    The weights on the device are copies, which are dropped when another part's
    turn comes, so that they must not change any more. A deep copy of the model
    would still start the parts of this one.

    Args:
        parts (Sequence[nn.Module]): They share no weights.
        device (torch.device): Where they run.
    """

    def __init__(self, parts, device):
        self.parts, self.device = tuple(parts), device
        self.running, self._kept = None, {}
        for part in parts:
            part.to('cpu')
            self._kept[part] = [
                (tensor, tensor.data) for tensor in
                (*part.parameters(), *part.buffers())]

    def start(self, part):
        """Bring a part to the device, and take the one before away."""
        if part is self.running:
            return
        self._take_away(self.running)
        self.running = None
        try:
            for tensor, data in self._kept[part]:
                tensor.data = data.to(self.device)
        except RuntimeError:  # of a lack of memory
            self._take_away(part)
            raise
        self.running = part

    def _take_away(self, part):
        for tensor, data in self._kept.get(part, ()):
            tensor.data = data

    def begin_with(self, owner, method, part):
        """Let a method of an object start a part, in place."""
        function = getattr(owner, method)

        @functools.wraps(function)
        def run(*args, **kwargs):
            self.start(part)
            return function(*args, **kwargs)

        setattr(owner, method, run)
