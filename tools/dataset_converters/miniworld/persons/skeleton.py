"""A jointed person in three dimensions.

Note:
    The frame of a person has x forward, y to the person's left and z up, in
    metres; the floor is z = 0. Angles are degrees. "Left" is always the
    person's left, as in COCO.
"""
from collections import namedtuple
from dataclasses import dataclass, field

import numpy as np

#: The keypoints of COCO, in its order.
KEYPOINTS = (
    'nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear',
    'left_shoulder', 'right_shoulder', 'left_elbow', 'right_elbow',
    'left_wrist', 'right_wrist', 'left_hip', 'right_hip', 'left_knee',
    'right_knee', 'left_ankle', 'right_ankle')

#: The limbs of COCO, as pairs of 1-based keypoint numbers.
LIMBS = ((16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13),
         (6, 7), (6, 8), (7, 9), (8, 10), (9, 11), (2, 3), (1, 2), (1, 3),
         (2, 4), (3, 5), (4, 6), (5, 7))

SIDES = (('left', 1), ('right', -1))

#: Lengths of a body in metres. ``hips`` and ``shoulders`` are from the
#: middle to one side, ``trunk`` is from between the hips to the neck,
#: ``ankle`` is above the sole, ``head`` holds the semi-axes (forward,
#: sideways, up) of the skull and ``girth`` scales thicknesses.
Body = namedtuple('Body', 'hips trunk shoulders neck head upper_arm forearm '
                  'hand thigh shin ankle foot girth')

# positions on the skull, in units of its semi-axes
_FACE = dict(nose=(1.12, 0.0, -0.12), left_eye=(0.88, 0.42, 0.12),
             right_eye=(0.88, -0.42, 0.12), left_ear=(-0.08, 1.04, -0.05),
             right_ear=(-0.08, -1.04, -0.05))


def random_body(rng):
    """Choose the lengths of a person at random.

    Args:
        rng (np.random.Generator): Source of all choices.

    Returns:
        Body: The lengths of a person 1.35 to 1.95 m tall.
    """
    height = rng.uniform(1.35, 1.95)

    def share(mean):
        return height * mean * rng.uniform(0.94, 1.06)

    # small people have relatively large heads
    head = (0.35 * height + 0.65 * 1.7) * rng.uniform(0.96, 1.08)
    return Body(hips=share(0.056), trunk=share(0.3),
                shoulders=share(0.112), neck=share(0.03),
                head=head * np.array([0.064, 0.053, 0.078]),
                upper_arm=share(0.175), forearm=share(0.15),
                hand=share(0.075), thigh=share(0.245), shin=share(0.235),
                ankle=share(0.045), foot=share(0.115),
                girth=height / 1.7 * rng.uniform(0.85, 1.2))


@dataclass
class Pose:
    """Angles of the joints in degrees; all zeros stand upright.

    Args:
        pitch (float): Pitch of the trunk, positive forward. Defaults to 0.0.
        roll (float): Roll of the trunk, positive to the right.
            Defaults to 0.0.
        twist (float): Twist of the trunk against the hips, positive to the
            left. Defaults to 0.0.
        head (tuple[float]): Pitch, roll and turn of the head relative to the
            trunk, with the same signs. Defaults to (0, 0, 0).
        arms (np.ndarray): (2, 4), left then right: the upper arm's angle
            forward and away from the body, its turn inward about itself and
            the bend of the elbow.
        legs (np.ndarray): (2, 4), the same for thighs and knees.
        seated (bool): Whether the pose needs a seat. Defaults to False.
    """
    pitch: float = 0.0
    roll: float = 0.0
    twist: float = 0.0
    head: tuple = (0, 0, 0)
    arms: np.ndarray = field(default_factory=lambda: np.zeros((2, 4)))
    legs: np.ndarray = field(default_factory=lambda: np.zeros((2, 4)))
    seated: bool = False


#: The places of a posed person. ``points`` maps the keypoints of COCO, and
#: pelvis, neck, skull, left_hand, left_heel, left_toe and so on, to (3,) in
#: metres;
#: ``trunk`` and ``skull`` are rotations, (3, 3), whose columns are forward,
#: left and up.
Figure = namedtuple('Figure', 'points trunk skull')


def turn(axis, angle):
    """Return a rotation about a coordinate axis.

    Args:
        axis (int): 0, 1 or 2.
        angle (float): Degrees, counter-clockwise as seen from the tip of the
            axis.

    Returns:
        np.ndarray: (3, 3), for column vectors.
    """
    angle = np.deg2rad(angle)
    matrix = np.eye(3)
    j, k = (axis + 1) % 3, (axis + 2) % 3
    matrix[[j, k], [j, k]] = np.cos(angle)
    matrix[k, j] = np.sin(angle)
    matrix[j, k] = -matrix[k, j]
    return matrix


def stand(body, pose, place=(0.0, 0.0), heading=0.0):
    """Pose a person with the lowest foot on the floor.

    Args:
        body (Body): Lengths of the body.
        pose (Pose): Angles of the joints.
        place (tuple[float]): x and y of the pelvis, in metres. Defaults to
            (0.0, 0.0).
        heading (float): Direction in which the hips face, in degrees from
            the x axis of the world, counter-clockwise from above.
            Defaults to 0.0.

    Returns:
        Figure: The person in the frame of the world, z up.
    """
    trunk = turn(2, pose.twist) @ turn(1, pose.pitch) @ turn(0, pose.roll)
    points = dict(pelvis=np.zeros(3), neck=trunk @ (0, 0, body.trunk))
    for index, (name, side) in enumerate(SIDES):
        hip = np.array([0, side * body.hips, 0])
        knee, ankle, shin = _limb(hip, np.eye(3), side, pose.legs[index],
                                  body.thigh, body.shin, 1)
        # feet tend to stay level
        sole = _unit(shin[:, 0] * (1, 1, 0.3))
        heel = ankle + body.ankle * 0.6 * _unit(
            np.array([0, 0, -1.0]) - sole * 0.4)
        points.update({f'{name}_hip': hip, f'{name}_knee': knee,
                       f'{name}_ankle': ankle, f'{name}_heel': heel,
                       f'{name}_toe': heel + body.foot * sole})
        shoulder = trunk @ (0, side * body.shoulders, 0.94 * body.trunk)
        elbow, wrist, forearm = _limb(shoulder, trunk, side,
                                      pose.arms[index], body.upper_arm,
                                      body.forearm, -1)
        points.update({f'{name}_shoulder': shoulder, f'{name}_elbow': elbow,
                       f'{name}_wrist': wrist,
                       f'{name}_hand': wrist - body.hand * forearm[:, 2]})
    pitch, roll, yaw = pose.head
    skull = trunk @ turn(2, yaw) @ turn(1, pitch) @ turn(0, roll)
    points['skull'] = points['neck'] + (
        trunk @ (0, 0, body.neck) + skull @ (0.02, 0, body.head[2]))
    for name, share in _FACE.items():
        points[name] = points['skull'] + skull @ (share * body.head)
    lowest = min(points[f'{name}_{end}'][2] for name, _ in SIDES
                 for end in ('heel', 'toe'))
    to_world = turn(2, heading)
    shift = np.array([*place, 0.4 * body.ankle - lowest])
    # turned about the pelvis, then lifted to the floor
    points = {name: to_world @ p + shift
              for name, p in points.items()}
    return Figure(points, to_world @ trunk, to_world @ skull)


def _limb(root, frame, side, angles, upper, lower, bend_sign):
    """Return the middle joint, the end and the frame of the lower part."""
    forward, outward, inward, bend = angles
    frame = (frame @ turn(0, side * outward) @ turn(1, -forward)
             @ turn(2, -side * inward))
    middle = root - upper * frame[:, 2]
    frame = frame @ turn(1, bend_sign * bend)
    return middle, middle - lower * frame[:, 2], frame


def _unit(vector):
    return vector / np.linalg.norm(vector)
