"""Looking through wrappers of models."""
from mmengine.model import BaseTTAModel, is_model_wrapper


def unwrap_model(model):
    """Find the model inside wrappers for ranks and test-time averages."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model
