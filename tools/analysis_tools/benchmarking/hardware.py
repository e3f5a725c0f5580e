"""Describe the machine that a number was measured on."""
import os
import platform

import torch


def available_cores():
    """Count the cores that this process may use.

    Returns:
        int: At least 1.
    """
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows do not have it
        return os.cpu_count() or 1


def describe_hardware(device, threads):
    """Describe what a process computes with.

    Args:
        device (str): ``'cpu'`` or ``'cuda'``.
        threads (int): Number of CPU threads of the process.

    Returns:
        dict[str, str]: ``hardware``, and ``torch``, its version.
    """
    if torch.device(device).type == 'cuda':
        name = torch.cuda.get_device_name(device)
    else:
        name = (f'{_cpu_name()}, {os.cpu_count()} cores, {threads} thread'
                f'{"s" if threads > 1 else ""} each')
    return dict(hardware=name, torch=torch.__version__)


def _cpu_name():
    try:
        with open('/proc/cpuinfo') as file:
            for line in file:
                if line.startswith('model name'):
                    return line.split(':', 1)[1].strip()
    except FileNotFoundError:
        pass
    return platform.processor() or platform.machine()
