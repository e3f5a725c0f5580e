"""Training state that is plain data, so that it loads as weights only."""
from functools import wraps

from genpercept_mm.utils.plain import to_storable


def store_plain_history():
    """Make `MessageHub` store its history as lists and plain numbers."""
    from mmengine.logging import HistoryBuffer, MessageHub
    stock_save, stock_load = MessageHub.state_dict, MessageHub.load_state_dict

    @wraps(stock_save)
    def state_dict(self):
        state = stock_save(self)
        state['log_scalars'] = type(state['log_scalars'])(
            (key, dict(
                log_history=buffer.data[0].tolist(),
                count_history=buffer.data[1].tolist(),
                max_length=buffer.max_length))
            for key, buffer in state['log_scalars'].items())
        state['runtime_info'] = to_storable(dict(state['runtime_info']))
        return state

    @wraps(stock_load)
    def load_state_dict(self, state):
        if isinstance(state, dict) and 'log_scalars' in state:
            scalars = {
                key: HistoryBuffer(**value) if isinstance(value, dict)
                else value for key, value in state['log_scalars'].items()}
            state = dict(state, log_scalars=scalars)
        return stock_load(self, state)

    MessageHub.state_dict = state_dict
    MessageHub.load_state_dict = load_state_dict


def store_no_functions(module):
    """Make the schedulers of a module leave functions out of their state."""
    scheduler = module._ParamScheduler
    stock = scheduler.state_dict

    @wraps(stock)
    def state_dict(self):
        # The constructor sets them again.
        return {key: value for key, value in stock(self).items()
                if not callable(value)}

    scheduler.state_dict = state_dict


def begin_with_new_scale(module):
    """Make ``AmpOptimWrapper`` of a module go on from a run without a loss
    scale, which torch refuses."""
    wrapper = module.AmpOptimWrapper
    stock = wrapper.load_state_dict

    @wraps(stock)
    def load_state_dict(self, state_dict):
        # what a scaler that is off, as for bf16, stores
        if state_dict.get('loss_scaler') == {}:
            state_dict = {key: value for key, value in state_dict.items()
                          if key != 'loss_scaler'}
        return stock(self, state_dict)

    wrapper.load_state_dict = load_state_dict


def follow_shapes(module):
    """Let averaged models of a module take buffers that have got another shape
    in ``init_weights``, which runs after they were copied."""
    averaged = module.BaseAveragedModel
    stock = averaged.update_parameters

    @wraps(stock)
    def update_parameters(self, model):
        changed = [(own, given) for own, given in zip(
            self.module.buffers(), model.buffers())
            if own.shape != given.shape]
        for own, given in changed:
            own.resize_(given.shape)
        if changed and self.update_buffers:
            self.avg_parameters = self.module.state_dict()
        return stock(self, model)

    averaged.update_parameters = update_parameters
