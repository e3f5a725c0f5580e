from .step_based_train_loop import StepBasedTrainLoop

__all__ = ['StepBasedTrainLoop']
