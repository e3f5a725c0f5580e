"""``genpercept infer``: maps from photographs."""
import argparse
import math
import pickle
import sys


def add_arguments(parser):
    """Add the flags of ``genpercept infer``."""
    parser.add_argument(
        'model', help='name (see genpercept models), checkpoint that holds '
        'its config, folder of weights (GenPercept, Marigold, Lotus, E2E-FT), '
        'or config with --weights')
    parser.add_argument(
        'inputs', nargs='+', help='images, folders, patterns, addresses or '
        'videos')
    parser.add_argument(
        '--out', required=True, metavar='DIR', help='folder for the maps')
    parser.add_argument('--weights', help='checkpoint for a config')
    parser.add_argument('--device', help='default: the best one there is')
    parser.add_argument(
        '--dtype', choices=['fp32', 'fp16', 'bf16'],
        help='default: bf16 on GPUs that have it, else fp32')
    parser.add_argument(
        '--size', type=_size, help="longer edge at which the network runs, or "
        "'native'; default: the rule of the weights")
    parser.add_argument(
        '--tile', type=int, help='side of overlapping tiles; 0: none; '
        'default: where an edge is longer than 1536')
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument(
        '--deploy', action='store_true', help='fold prompt, timestep and '
        'other constants into the weights: faster, and the same to rounding')
    parser.add_argument(
        '--low-memory', action='store_true', help='run in little memory: '
        'slower, and the same to rounding')
    parser.add_argument(
        '--task', help='what a folder of weights predicts, where it does not '
        'say it')
    parser.add_argument(
        '--save', nargs='+', default=['picture', 'png16'],
        choices=['picture', 'png16', 'npy', 'exr', 'tiff', 'video'],
        help='files to write; default: picture png16')
    parser.add_argument(
        '--align-frames', type=float, metavar='FILTER', help='draw the frames '
        'of a video with one scale and shift; 0 to below 1, larger is slower')
    parser.add_argument(
        '--calibrate', metavar='POINTS', help='write depth in metres: known '
        'points (text of u v z lines, depth picture, .npy) of the image, a '
        'folder of such files named like the images, or a saved calibration '
        '(.json)')
    parser.add_argument(
        '--calibrate-mode', choices=['affine', 'scale', 'log'],
        default='affine', help='scale and shift, scale alone, or both of the '
        'logarithm; default: affine')
    parser.add_argument(
        '--depth-scale', type=_fraction, help='metres per unit of a map of '
        'known depth, such as 0.001 or 1/256')
    parser.add_argument(
        '--focal', type=float, metavar='PIXELS', help='focal length: write '
        'point clouds (PLY) of calibrated depth')


def _size(text):
    return text if text == 'native' else int(text)


def _fraction(text):
    numerator, _, denominator = text.partition('/')
    try:
        value = float(numerator) / float(denominator or 1)
    except (ValueError, ZeroDivisionError):
        value = 0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a positive number or fraction, such as 1/256')
    return value


def run(args):
    """Predict; return 1 if a file failed, and say which at the end."""
    from ..apis import DenseInferencer
    from ..apis.metric_scale import MetricScale
    done, total, failed = 0, 0, []
    try:
        scale = args.calibrate and MetricScale(
            args.calibrate, args.calibrate_mode, args.depth_scale)
        inferencer = DenseInferencer(
            args.model, args.weights, args.device, args.dtype, task=args.task,
            deploy=args.deploy, low_memory=args.low_memory)
        for result in inferencer.stream(
                args.inputs, args.batch_size, args.size, args.tile, args.out,
                args.save, skip_errors=True,
                align_frames=args.align_frames, calibrate=scale or None,
                focal=args.focal):
            total += 1
            if 'error' in result:
                failed.append(result['error'])
            if 'quantity' in result:
                done += 1
                last = result
    except SyntaxError as error:  # of a config
        print(f'genpercept infer: {args.model}, line {error.lineno}: '
              f'{error.msg}', file=sys.stderr)
        return 1
    except (ArithmeticError, ImportError, OSError, RuntimeError, TypeError,
            ValueError, pickle.UnpicklingError) as error:
        print(f'genpercept infer: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f'genpercept infer: stopped; the first {done} results are in '
              f'{args.out}', file=sys.stderr)
        return 130
    if done:
        print(describe(last, done, args.out))
        if 'calibration' in last and scale.calibration is None:
            found = last['calibration']
            print(f'metres of the last image: {found.inliers} of '
                  f'{found.points} points agree, median error of all '
                  f'{found.error:.1%}')
    for text in failed:
        print(f'genpercept infer: {text}', file=sys.stderr)
    if failed:
        print(f'genpercept infer: {len(failed)} of {total} inputs failed, '
              'see above', file=sys.stderr)
    return 1 if failed else 0


def describe(result, count, folder):
    """Say in a line what was predicted and where it is."""
    facts = ', '.join(
        f'{key} {result[key]}' for key in ('kind', 'near', 'axes', 'range')
        if result.get(key) is not None)
    if result['quantity'] == 'sem_seg':
        facts = (f'{len(result["classes"])} classes'
                 if result.get('classes') else 'class ids')
    height, width = result['working_size']
    return (f'{count} x {result["quantity"]} in {folder} ({facts}; '
            f'network at {width} x {height}, {result["rule"]}; '
            f'{result["seconds"]:.2f} s for the last image)')
