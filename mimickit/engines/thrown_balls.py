"""The balls of the dodgeball, and what an engine simulates with them.

In a module of its own, which only that environment and the compiling of kernels import: so a change of the ball's file
is known to concern no other case.
"""

from pathlib import Path

from mimickit.anim import CharModel
from mimickit.config.env_config import TaskDodgeballEnvConfig
from mimickit.engines.engine import Prop, Scene
from mimickit.engines.env_scenes import make_scene

BALL_FILE = Path("data/assets/objects/ball.xml")
BALL_RADIUS = 0.1  # m


@make_scene.register
def with_balls(config: TaskDodgeballEnvConfig, char_model: CharModel) -> Scene:
    """The balls in a row; the environment puts them where they are thrown from."""
    balls = tuple(
        Prop(f"ball{i}", BALL_FILE, (10.0 * (i + 1), 0.0, BALL_RADIUS), fixed=False)
        for i in range(config.num_projectiles)
    )
    return Scene(config.char_file, char_model, props=balls)
