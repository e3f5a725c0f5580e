"""``genpercept verify``: published weights on benchmarks."""
import sys

from .tables import print_table


def add_arguments(parser):
    """Add the flags of ``genpercept verify``."""
    parser.add_argument('name', help='see genpercept models')
    parser.add_argument(
        '--data', required=True, metavar='DIR', help='folder with the '
        'folders of benchmarks (kitti, nyuv2, scannet, diode, eth3d, '
        'dsine_eval, DIS5K, P3M-10k, AIM-500 ...), as below data/ in configs')
    parser.add_argument(
        '--out', metavar='JSON', help='report to write; benchmarks that it '
        'holds are not run again. Default: verify_NAME.json')
    parser.add_argument('--device', help='default: the best one there is')
    parser.add_argument(
        '--dtype', choices=['fp32', 'fp16', 'bf16'], default='fp32')
    parser.add_argument('--num-workers', type=int, default=2)


def run(args):
    """Evaluate, and print our numbers beside those of the paper."""
    from ..apis.verification import table, verify
    out = args.out or f'verify_{args.name}.json'
    try:
        report = verify(args.name, args.data, out, args.device, args.dtype,
                        args.num_workers)
    except (OSError, RuntimeError, ValueError) as error:
        print(f'genpercept verify: {error}', file=sys.stderr)
        return 1
    print_table(table(report))
    print(f'{out}: protocol of {report["config"]}, {report["dtype"]}; please '
          'post it with your issue or result')
    return 0
