"""Render small data sets in the layouts of P3M-10k and DIS5K."""
import argparse

from genpercept_mm.datasets.mini_objects import (
    build_mini_objects,
    preview_sheet,
)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--out-dir', default='data/mini_objects',
                        help='target folder')
    parser.add_argument('--kind', default='all',
                        choices=['all', 'matting', 'dis'],
                        help='matting makes P3M-10k, dis makes DIS5K')
    parser.add_argument('--num-frames', type=int, default=100,
                        help='frames of each kind')
    parser.add_argument('--frames-per-room', type=int, default=4,
                        help='views per room')
    parser.add_argument('--width', type=int, default=128,
                        help='pixels per row')
    parser.add_argument('--height', type=int, default=96, help='rows')
    parser.add_argument('--spp', type=int, default=12,
                        help='samples per pixel of the pictures')
    parser.add_argument('--seed', type=int, default=0,
                        help='other seeds give other rooms and subjects')
    parser.add_argument('--sheet', metavar='PATH',
                        help='also draw an overview into this picture')
    parser.add_argument('--sheet-frames', type=int, default=24,
                        help='frames of each kind in the overview')
    return parser.parse_args()


def main():
    args = parse_args()
    build_mini_objects(
        args.out_dir,
        kind=args.kind,
        num_frames=args.num_frames,
        width=args.width,
        height=args.height,
        spp=args.spp,
        seed=args.seed,
        frames_per_room=args.frames_per_room)
    if args.sheet:
        preview_sheet(args.out_dir, args.sheet, args.sheet_frames)


if __name__ == '__main__':
    main()
