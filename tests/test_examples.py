"""The examples of docs/examples do what they say: two are run as they are, the ROS node on stand-ins for ROS."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from support.media import write_video
from support.stub_bundle import build_stub_bundle

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"
FRAMES = 5
# No ROS is on a build machine. These are the few calls of rclpy, cv_bridge and sensor_msgs that the node makes, with
# their names and arguments; `spin` sends three pictures, the first two without a pause, and then is interrupted.
ROS = {
    "sensor_msgs/__init__.py": "",
    "sensor_msgs/msg.py": """
class Image:
    def __init__(self, array=None, encoding=None, header=None):
        self.array, self.encoding, self.header = array, encoding, header
""",
    "cv_bridge.py": """
from sensor_msgs.msg import Image


class CvBridge:
    def imgmsg_to_cv2(self, message, desired_encoding):
        assert message.encoding == desired_encoding == "rgb8"
        return message.array

    def cv2_to_imgmsg(self, array, encoding):
        return Image(array, encoding)
""",
    "rclpy/__init__.py": """
import sys, time
import numpy as np
from sensor_msgs.msg import Image


def init():
    pass


def spin(node):
    for index in range(3):
        node.callback(Image(np.full((56, 70, 3), 10 * (index + 1), np.uint8), "rgb8", f"header {index}"))
        if index:
            deadline = time.monotonic() + 20
            while not (node.published and node.published[-1] == f"header {index}"):
                assert time.monotonic() < deadline, node.published
                time.sleep(0.001)
    raise KeyboardInterrupt
""",
    "rclpy/qos.py": "qos_profile_sensor_data = 'sensor data'",
    "rclpy/node.py": """
import os
from types import SimpleNamespace


class Node:
    def __init__(self, name):
        self.published = []
        print("node", name)

    def declare_parameter(self, name, default):
        assert (name, default) == ("bundle", "engine")
        return SimpleNamespace(value=os.environ["BUNDLE"])

    def get_logger(self):
        return SimpleNamespace(warning=lambda text: print("warning", text))

    def create_publisher(self, kind, topic, depth):
        def publish(message):
            array = message.array
            print(topic, message.encoding, message.header, array.dtype, array.shape, array.mean())
            self.published.append(message.header)

        return SimpleNamespace(publish=publish)

    def create_subscription(self, kind, topic, callback, profile):
        assert (topic, profile) == ("image", "sensor data")
        self.callback = callback
""",
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose depth is the luminance of the picture, and that says its weights are random."""
    return build_stub_bundle(tmp_path_factory.mktemp("examples"), random_weights=True)


def run(name: str, *arguments: object, path: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run an example as a user does, warnings being errors."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(path or "")} | variables
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_plain_loop_writes_depth_in_which_near_is_bright(bundle: Path, tmp_path: Path) -> None:
    video, out = write_video(tmp_path / "in.avi", FRAMES), tmp_path / "out.avi"
    done = run("plain_loop.py", bundle, video, out)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{FRAMES} frames\n"
    assert "RANDOM WEIGHTS" in done.stderr.upper()
    capture = cv2.VideoCapture(str(out))
    for _ in range(FRAMES):
        readable, frame = capture.read()
        assert readable
        assert frame[:, :30].mean() < 20  # the stub's depth is luminance, and the video's right half is white
        assert frame[:, 40:].mean() > 235
    assert not capture.read()[0]


def test_the_plain_loop_says_what_it_cannot_use(bundle: Path, tmp_path: Path) -> None:
    done = run("plain_loop.py", bundle, tmp_path / "none.avi", tmp_path / "out.avi")
    assert done.returncode == 1
    assert f"no frame could be read from {tmp_path}/none.avi" in done.stderr
    wrong = run("plain_loop.py", tmp_path, tmp_path / "none.avi", tmp_path / "out.avi")
    assert wrong.returncode == 1
    assert "Error: bundle" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_two_cameras_each_get_all_their_frames(bundle: Path, tmp_path: Path) -> None:
    left = write_video(tmp_path / "left.avi", FRAMES)
    right = write_video(tmp_path / "right.avi", 2 * FRAMES, height=100, width=80)
    done = run("two_cameras.py", bundle, left, right)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"camera {left}: {FRAMES} frames\ncamera {right}: {2 * FRAMES} frames\n"


@pytest.mark.parametrize("name", ["plain_loop.py", "two_cameras.py"])
def test_without_arguments_they_show_how_they_are_called(name: str) -> None:
    done = run(name)
    assert done.returncode == 1
    assert f"python {name} BUNDLE" in done.stderr


def test_the_ros_node_answers_with_the_latest_picture_and_ends_cleanly(bundle: Path, tmp_path: Path) -> None:
    for name, code in ROS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code)
    done = run("ros2_node.py", path=tmp_path, BUNDLE=str(bundle))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "node briges_depth"
    assert re.match("warning .*random", lines[1], re.IGNORECASE)
    published = [line for line in lines if line.startswith("depth")]
    # Grey of brightness 30 has that luminance.
    assert re.fullmatch(r"depth 32FC1 header 2 float32 \(56, 70\) (30\.0|29\.99)\d*", published[-1])
    assert 2 <= len(published) <= 3  # of the first two, sent at once, the older may be replaced


def test_no_example_is_longer_than_seventy_lines() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in EXAMPLES.glob("*.py")}
    assert len(lengths) == 3
    assert max(lengths.values()) <= 70, lengths


@pytest.mark.parametrize("name", ["jetson.md", "verification.md"])
def test_links_of_the_documents_point_at_files(name: str) -> None:
    text = (EXAMPLES.parent / name).read_text(encoding="utf-8")
    local = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if not target.startswith("http")]
    assert local
    for target in local:
        assert (EXAMPLES.parent / target).exists(), target
