"""Buses, trucks and trams: long windows and doors; a cab before a load; modules on rails under a wire."""

from __future__ import annotations

import numpy as np

from tools.streets.canvas import Stage
from tools.streets.light import Color, blend, dim, lacquer, usual
from tools.streets.solids import DARK, RUBBER, Pose, Profile, Solid, glass

_TRUCK, _BUS, _TRAIN, _STATIC = 27, 28, 31, 4
BUS_SIZE = (10.5, 2.5, 3.1)  # length, width, height in metres
TRUCK_SIZE = (7.6, 2.45, 3.5)
TRAM_MODULE, TRAM_WIDTH, TRAM_HEIGHT = 7.5, 2.4, 3.35


def box(rear: float, front: float, low: float, high: float, *, slope: float = 0.0) -> Profile:
    """Return the side view of a box between two x and two h, whose front leans back by `slope` metres."""
    return [(rear, low), (rear, high), (front - slope, high), (front, low + 0.45 * (high - low)), (front, low)]


def draw_bus(stage: Stage, pose: Pose) -> None:
    """Draw a bus: a long row of windows, doors on the right, a display above the windscreen."""
    rng, (length, width, height) = stage.rng, BUS_SIZE
    rear, front = -length / 2, length / 2
    paint, stripe, pane = usual(rng, "bus"), lacquer(rng), glass(stage, 0.4)
    body = Solid(stage, pose, box(rear, front, 0.3, height, slope=0.25), width=width, label_id=_BUS)
    body.tyres(rear + 2.0, 0.45)
    body.hull([paint, dim(paint, 1.05), paint, paint, paint])
    _bus_ends(body, paint, pane)
    body.flank_box((rear, front), (0.3, 0.55), dim(paint, 0.6))
    body.flank_box((rear, front - 0.1), (0.95, 1.2), stripe)
    body.flank_box((rear + 0.25, front - 0.15), (1.35, 2.6), pane)
    for x in np.arange(rear + 1.5, front - 0.8, 1.35):
        body.flank_box((x - 0.06, x + 0.06), (1.35, 2.6), DARK)
    if rng.random() < 0.4:
        body.flank_box((rear + 2.7, rear + 6.0), (0.55, 1.3), lacquer(rng))  # an advertisement
    if body.side == 1:
        for x in (front - 1.5, 0.3):
            body.flank_box((x, x + 1.2), (0.4, 2.65), DARK)
            for left in (x + 0.08, x + 0.64):
                body.flank_box((left, left + 0.48), (0.5, 2.55), pane)
    body.wheels((rear + 2.0, front - 2.4), 0.47, (150, 150, 152))
    if body.side == 1:
        body.flank_box((front - 0.02, front + 0.02), (1.5, 2.2), DARK)


def _bus_ends(body: Solid, paint: Color, pane: Color) -> None:
    """Paint windscreen and display, or rear window, lights and engine grille."""
    visible = body.visible_strips()
    if 2 in visible:
        body.patch(2, (-0.94, 0.94), (0.22, 1.0), pane)
        body.patch(3, (-0.94, 0.94), (0.0, 0.22), pane)
        body.patch(2, (-0.6, 0.6), (0.04, 0.19), (20, 20, 20))
        body.patch(2, (-0.45, 0.4), (0.08, 0.15), (245, 165, 40))
        body.patch(2, (-0.02, 0.02), (0.22, 1.0), DARK)
        for left in (-0.92, 0.62):
            body.patch(3, (left, left + 0.3), (0.5, 0.68), (245, 240, 220))
        body.patch(3, (-0.9, 0.9), (0.8, 1.0), dim(paint, 0.5))
    if 0 in visible:
        body.patch(0, (-0.8, 0.8), (0.52, 0.86), pane)
        body.patch(0, (-0.5, 0.5), (0.89, 0.97), (30, 30, 30))
        body.patch(0, (-0.6, 0.6), (0.12, 0.32), dim(paint, 0.6))
        for left in (-0.95, 0.8):
            body.patch(0, (left, left + 0.15), (0.2, 0.42), (190, 30, 25))


def draw_truck(stage: Stage, pose: Pose) -> None:
    """Draw a truck: a cab, a gap, and a box, a tarpaulin or a tipper on a dark chassis with wheels."""
    rng, (length, width, height) = stage.rng, TRUCK_SIZE
    rear, front = -length / 2, length / 2
    kind = rng.choice(["box", "tarpaulin", "tipper"], p=[0.45, 0.3, 0.25])
    cab_low = rng.uniform(2.5, 2.9)
    chassis = Solid(stage, pose, box(rear, front - 0.4, 0.5, 0.95), width=width * 0.9, label_id=_TRUCK)
    cab = Solid(stage, pose, box(front - 1.9, front, 0.45, cab_low, slope=0.3), width=width * 0.96, label_id=_TRUCK)
    top = height if kind != "tipper" else 1.9
    load_profile = box(rear, front - 2.15, 0.95, top)
    if kind == "tipper":
        load_profile = [(rear + 0.2, 0.95), (rear, top), (front - 2.0, top), (front - 2.3, 1.3), (front - 2.3, 0.95)]
    load = Solid(stage, pose, load_profile, width=width, label_id=_TRUCK)
    for axle in (rear + 1.3, rear + 0.4):
        chassis.tyres(axle, 0.5)
    chassis.hull([DARK] * 5)

    def paint_load() -> None:
        _load(load, kind, usual(rng, "truck"))

    def paint_cab() -> None:
        _cab(cab, stage, usual(rng, "cab"), front)

    for part in (paint_load, paint_cab) if cab.eye[0] > 0 else (paint_cab, paint_load):  # the farther part first
        part()
    _chassis_details(chassis, rear, front)


def _cab(cab: Solid, stage: Stage, paint: Color, front: float) -> None:
    pane = glass(stage, 0.4)
    cab.hull([paint] * 5)
    if 2 in cab.visible_strips():
        cab.patch(2, (-0.88, 0.88), (0.18, 0.95), pane)
        cab.patch(3, (-0.7, 0.7), (0.15, 0.55), DARK)
        cab.patch(3, (-0.95, 0.95), (0.78, 1.0), dim(paint, 0.6))
        for left in (-0.92, 0.64):
            cab.patch(3, (left, left + 0.28), (0.6, 0.78), (245, 240, 220))
    high = cab.top
    cab.flank([(front - 1.5, 1.55), (front - 1.5, high - 0.3), (front - 0.42, high - 0.3), (front - 0.2, 1.55)], pane)
    cab.flank_box((front - 1.6, front - 1.57), (0.6, high - 0.2), dim(paint, 0.6))
    cab.flank_box((front - 0.15, front + 0.05), (1.7, 2.2), DARK)


def _load(load: Solid, kind: str, paint: Color) -> None:
    rear, end, top = load.profile[0, 0], load.profile[:, 0].max(), load.top
    if kind == "tipper":
        x = np.linspace(rear + 0.2, end - 0.2, 9)
        heap = np.stack([np.r_[x, x[::-1]], np.r_[[top] * 9, top + 0.1 + 0.6 * np.sin(np.linspace(0, np.pi, 9))]], 1)
        load.flank(heap, (120, 98, 74))
    load.hull([paint, dim(paint, 1.05), paint, paint, paint])
    gap = {"box": 0.6, "tarpaulin": 0.75, "tipper": 0.9}[kind]
    for x in np.arange(rear + 0.1, end, gap):
        load.flank_box((x, x + 0.08), (1.0, top), dim(paint, 0.7))
    if kind == "box":
        load.flank_box((rear + 1.3, end - 1.9), (2.0, 2.7), blend(paint, (240, 240, 240), 0.7))
    elif kind == "tarpaulin":
        load.flank_box((rear, end), (0.97, 1.3), blend(paint, (90, 90, 95), 0.7))
    if 0 in load.visible_strips():
        _load_rear(load, paint)


def _load_rear(load: Solid, paint: Color) -> None:
    """Paint two doors with bars in a frame, above a striped rail."""
    load.patch(0, (-0.03, 0.03), (0.0, 1.0), dim(paint, 0.5))
    for x in (-0.5, 0.5):
        load.patch(0, (x - 0.02, x + 0.02), (0.03, 0.97), dim(paint, 0.65))
    for left in (-0.97, 0.9):
        load.patch(0, (left, left + 0.07), (0.0, 1.0), dim(paint, 0.7))
    for number, left in enumerate(np.arange(-0.96, 0.9, 0.24)):
        load.patch(0, (left, left + 0.24), (0.0, 0.1), (235, 235, 230) if number % 2 else (200, 40, 30))


def _chassis_details(chassis: Solid, rear: float, front: float) -> None:
    """Paint wheels, tank and rear lights over the rest."""
    chassis.flank_box((-0.6, 1.2), (0.45, 0.9), (120, 122, 125))
    chassis.wheels((rear + 0.75, rear + 1.85, front - 1.2), 0.5, (140, 140, 142))
    if 0 in chassis.visible_strips():
        for left in (-0.98, 0.66):
            chassis.patch(0, (left, left + 0.32), (0.35, 0.85), (205, 35, 25))
        chassis.patch(0, (-0.25, 0.25), (0.3, 0.8), (225, 225, 220))


def draw_tram(stage: Stage, pose: Pose, modules: int) -> None:
    """Draw a tram of `modules` modules joined by bellows, with a pantograph on the roof and its wire."""
    rng = stage.rng
    paint, stripe, skirt, pane = usual(rng, "train"), lacquer(rng), lacquer(rng), glass(stage, 0.35)
    middle = (modules - 1) / 2
    centers = [(number - middle) * TRAM_MODULE for number in range(modules)]
    spots = pose.place(np.array(centers), np.zeros(modules))
    places = [Pose(u, s, pose.yaw) for u, s in spots]
    order = sorted(range(modules), key=lambda number: -places[number].s)
    for number in order:
        ends = (number == 0, number == modules - 1)
        _tram_module(stage, places[number], ends, (paint, stripe, skirt, pane))
    _pantograph(stage, places[int(middle)])


def _tram_module(stage: Stage, pose: Pose, ends: tuple[bool, bool], colors: tuple) -> None:
    """Paint a module; `ends` is whether its rear and its front are ends of the tram."""
    paint, stripe, skirt, pane = colors
    x0, x1, high = -TRAM_MODULE / 2, TRAM_MODULE / 2, TRAM_HEIGHT
    nose0, nose1 = (0.9 if end else 0.0 for end in ends)
    profile = [(x0, 0.18), (x0, 1.4), (x0 + nose0, high), (x1 - nose1, high), (x1, 1.4), (x1, 0.18)]
    body = Solid(stage, pose, profile, width=TRAM_WIDTH, label_id=_TRAIN)
    body.hull([paint, paint, (140, 142, 145), paint, paint, paint])
    for window, face, is_end in ((1, 0, ends[0]), (3, 4, ends[1])):
        if window in body.visible_strips() and is_end:
            _tram_nose(body, window, face, (stripe, pane))
    _tram_flank(body, (x0 + nose0, x1 - nose1), colors)
    for x, is_end in ((x0, ends[0]), (x1, ends[1])):
        if not is_end:
            for step in range(3):
                left = x - 0.3 + 0.2 * step
                body.flank_box((left, left + 0.2), (0.3, 3.1), (52, 52, 56) if step % 2 else (72, 72, 76))


def _tram_flank(body: Solid, roof: tuple[float, float], colors: tuple) -> None:
    """Paint the visible side of a module: windows with pillars, doors, skirt and bogie; `roof` is its span."""
    paint, stripe, skirt, pane = colors
    x0, x1 = -TRAM_MODULE / 2, TRAM_MODULE / 2
    body.flank_box((x0, x1), (0.18, 0.75), skirt)
    body.flank_box((x0, x1), (0.75, 0.9), stripe)
    left, right = (0.75 * inner + 0.25 * outer for inner, outer in zip(roof, (x0, x1)))
    body.flank_box((left + 0.2, right - 0.2), (1.2, 2.7), pane)
    for x in np.arange(left + 1.0, right - 0.5, 0.8):
        body.flank_box((x - 0.09, x + 0.09), (1.2, 2.7), paint)
    for x in (x0 + 2.2, x1 - 2.2):
        body.flank_box((x - 0.75, x + 0.75), (0.35, 2.8), stripe)
        for door in (x - 0.65, x + 0.05):
            body.flank_box((door, door + 0.6), (0.6, 2.65), pane)
    body.flank_box(roof, (3.0, 3.35), (120, 122, 126))
    body.flank_box((-1.3, 1.3), (0.05, 0.3), RUBBER)


def _tram_nose(body: Solid, window: int, face: int, colors: tuple) -> None:
    stripe, pane = colors
    upper = (0.06, 0.7) if window == 1 else (0.3, 0.94)
    sign = (0.76, 0.92) if window == 1 else (0.08, 0.24)
    body.patch(window, (-0.9, 0.9), upper, pane)
    body.patch(window, (-0.6, 0.6), sign, (20, 20, 20))
    body.patch(window, (-0.4, 0.4), (sign[0] + 0.04, sign[1] - 0.04), (245, 170, 50))
    low = (0.0, 0.45) if face == 0 else (0.55, 1.0)
    body.patch(face, (-1, 1), low, stripe)
    lamps = (0.55, 0.72) if face == 0 else (0.28, 0.45)
    for left in (-0.85, 0.6):
        body.patch(face, (left, left + 0.25), lamps, (250, 245, 225) if face == 4 else (200, 40, 30))
    body.patch(face, (-0.12, 0.12), lamps, (235, 235, 230))


def _pantograph(stage: Stage, pose: Pose) -> None:
    """Paint the current collector and the wire above the track."""
    camera, light = stage.camera, stage.light
    brush = stage.canvas.brush(_TRAIN, pose.s)
    for x in ([0.0, 1.1, 0.2], [0.0, -0.2, 0.2]):
        place = pose.place(np.array(x), np.zeros(3))
        points = np.stack([place[:, 0], [TRAM_HEIGHT, 4.0, 4.75], place[:, 1]], axis=1)
        if points[:, 2].min() > 1:
            brush.stroke(camera.project(points), light.shade((60, 60, 64)), 0.09 * camera.scale(pose.s))
    place = pose.place(np.full(2, 0.2), np.array([-0.8, 0.8]))
    bar = np.stack([place[:, 0], [4.75, 4.75], place[:, 1]], axis=1)
    if bar[:, 2].min() > 1:
        brush.stroke(camera.project(bar), light.shade((60, 60, 64)), 0.1 * camera.scale(pose.s))


def draw_wire(stage: Stage, track: float) -> None:
    """Paint the overhead wire along the track, which has no class."""
    s = np.geomspace(2.5, 120, 24)
    points = stage.camera.project(np.stack([np.full(24, track), np.full(24, 4.8), s], axis=1))
    brush = stage.canvas.brush(_STATIC, 40.0)
    brush.stroke(points, stage.light.shade((50, 50, 54)), stage.camera.width / 700)
