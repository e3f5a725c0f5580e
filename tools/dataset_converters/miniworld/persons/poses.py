"""Random everyday poses."""
import numpy as np

from .skeleton import Pose


def random_pose(rng, kind=None):
    """Choose a pose at random.

    Args:
        rng (np.random.Generator): Source of all choices.
        kind (str, optional): One of ``POSES``. Defaults to None, which
            chooses one according to the weights.

    Returns:
        Pose: Angles in degrees; half of all poses are mirrored.

    Raises:
        ValueError: If the kind is not one of ``POSES``.
    """
    if kind is None:
        weights = np.array([weight for _, weight in POSES.values()])
        kind = rng.choice(list(POSES), p=weights / weights.sum())
    if kind not in POSES:
        raise ValueError(f'random_pose: kind must be one of {list(POSES)}, '
                         f'got {kind!r}; change the argument.')
    pose = POSES[kind][0](rng)
    pose.head = tuple(np.add(pose.head, rng.normal(0, (8, 5, 20))))
    pose.roll += rng.normal(0, 3)
    pose.twist += rng.normal(0, 6)
    return mirrored(pose) if rng.random() < 0.5 else pose


def mirrored(pose):
    """Swap left and right.

    Args:
        pose (Pose): Any pose.

    Returns:
        Pose: Its mirror image.
    """
    pitch, roll, yaw = pose.head
    return Pose(pose.pitch, -pose.roll, -pose.twist, (pitch, -roll, -yaw),
                pose.arms[::-1].copy(), pose.legs[::-1].copy(), pose.seated)


def _arm(rng):
    """Choose an arm that hangs, rests on the hip or holds something."""
    choice = rng.random()
    if choice < 0.55:
        return (rng.normal(0, 10), rng.uniform(6, 20), rng.uniform(-10, 40),
                rng.uniform(5, 35))
    if choice < 0.75:  # hand on the hip
        return (rng.uniform(-30, -15), rng.uniform(35, 50),
                rng.uniform(60, 85), rng.uniform(85, 105))
    # forearm in front
    return (rng.uniform(0, 35), rng.uniform(5, 20), rng.uniform(-20, 55),
            rng.uniform(60, 125))


def _raised_arm(rng):
    """Choose an arm at shoulder height or above."""
    if rng.random() < 0.5:  # to the side and up
        return (rng.uniform(-10, 15), rng.uniform(75, 165),
                rng.uniform(-150, -60), rng.choice(
                    [rng.uniform(0, 25), rng.uniform(50, 100)]))
    # to the front and up
    return (rng.uniform(75, 175), rng.uniform(0, 25), rng.uniform(-30, 30),
            rng.uniform(0, 60))


def _standing(rng):
    legs = [(rng.uniform(-5, 12), rng.uniform(1, 12), rng.uniform(-25, 5),
             rng.uniform(0, 14)) for _ in range(2)]
    return Pose(pitch=rng.normal(2, 3), legs=np.array(legs),
                arms=np.array([_arm(rng), _arm(rng)]))


def _walking(rng):
    swing = rng.uniform(14, 36)
    legs = np.array([
        (swing, rng.uniform(0, 4), -4, rng.uniform(3, 22)),
        (-0.8 * swing, rng.uniform(0, 4), -4, rng.uniform(8, 55))])
    elbow = rng.uniform(12, 80)
    arms = np.array([
        (-swing * rng.uniform(0.7, 1.2), rng.uniform(6, 14), 10, elbow),
        (swing * rng.uniform(0.7, 1.2), rng.uniform(6, 14), 15, elbow)])
    if rng.random() < 0.3:
        arms[rng.integers(2)] = _arm(rng)
    return Pose(pitch=rng.uniform(0, 12), twist=-swing / 4, arms=arms,
                head=(0, 0, swing / 4), legs=legs)


def _arms_up(rng):
    pose = _standing(rng)
    pose.arms[0] = _raised_arm(rng)
    if rng.random() < 0.6:
        pose.arms[1] = (pose.arms[0] + rng.normal(0, 12, 4)
                        if rng.random() < 0.6 else _raised_arm(rng))
        pose.arms[1, 3] = max(pose.arms[1, 3], 0)
    return pose


def _sitting(rng):
    knee = rng.uniform(65, 100)
    legs = [(rng.uniform(78, 92), rng.uniform(2, 18), rng.uniform(-8, 5),
             knee + rng.uniform(-15, 15)) for _ in range(2)]
    arms = [(rng.uniform(5, 45), rng.uniform(4, 22), rng.uniform(0, 40),
             rng.uniform(35, 100)) for _ in range(2)]
    if rng.random() < 0.25:
        arms[0] = _raised_arm(rng)
    pitch = rng.uniform(-12, 25)
    return Pose(pitch=pitch, legs=np.array(legs), arms=np.array(arms),
                head=(-0.4 * pitch, 0, 0), seated=True)


def _crouching(rng):
    legs = []
    for _ in range(2):
        thigh = rng.uniform(85, 118)
        legs.append((thigh, rng.uniform(5, 25), rng.uniform(-12, 0),
                     thigh + rng.uniform(12, 38)))
    pitch = rng.uniform(18, 45)
    arms = [(rng.uniform(30, 80), rng.uniform(0, 20), rng.uniform(0, 40),
             rng.uniform(10, 90)) for _ in range(2)]
    return Pose(pitch=pitch, legs=np.array(legs), arms=np.array(arms),
                head=(-0.6 * pitch, 0, 0))


def _leaning(rng):
    pose = _standing(rng)
    if rng.random() < 0.6:  # bent forward, reaching or resting on the knees
        pose.pitch = rng.uniform(25, 75)
        pose.legs[:, 0] += 0.15 * pose.pitch
        pose.legs[:, 3] += 0.3 * pose.pitch
        reach = pose.pitch + rng.uniform(-15, 40)
        pose.arms = np.array([
            (reach, rng.uniform(3, 18), rng.uniform(-10, 30),
             rng.uniform(0, 45)) for _ in range(2)])
        pose.head = (-rng.uniform(0.1, 0.7) * pose.pitch, 0, 0)
    else:  # to one side
        pose.roll = rng.uniform(14, 32)
        pose.legs[0, 1] += 8
        if rng.random() < 0.5:
            pose.arms[0] = _raised_arm(rng)
    return pose


def _lunging(rng):
    legs = np.array([
        (rng.uniform(50, 85), rng.uniform(0, 12), 0, rng.uniform(55, 95)),
        (rng.uniform(-35, -10), rng.uniform(0, 12), 0, rng.uniform(5, 60))])
    arms = [_raised_arm(rng) if rng.random() < 0.4 else _arm(rng)
            for _ in range(2)]
    return Pose(pitch=rng.uniform(-5, 25), legs=legs, arms=np.array(arms))


#: Kinds of poses, with their weights.
POSES = dict(standing=(_standing, 3), walking=(_walking, 3),
             arms_up=(_arms_up, 2.5), sitting=(_sitting, 2),
             crouching=(_crouching, 1), leaning=(_leaning, 1.5),
             lunging=(_lunging, 1))
