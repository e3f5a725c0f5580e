# lets mmengine load .safetensors checkpoints
from genpercept_mm.utils import safetensors_checkpoint  # noqa: F401
