"""A ROS 2 node: pictures in, relative inverse depth out as 32FC1. A sketch to build yours from.

    python ros2_node.py --ros-args -p bundle:=/path/to/engine -r image:=/camera/image_raw

It publishes on `depth`. Larger is nearer; these are not metres, and no PointCloud2 can be made of them without a scale.
"""

from __future__ import annotations

import contextlib
import threading

import rclpy
from cv_bridge import CvBridge
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from briges.runtime import DepthEstimator


class DepthNode(Node):
    """Keeps the latest picture only: a robot needs the depth of now, not of a queue."""

    def __init__(self) -> None:
        super().__init__("briges_depth")
        self.estimator = DepthEstimator(self.declare_parameter("bundle", "engine").value)
        for notice in self.estimator.notices:  # such as random weights, or weights for research alone
            self.get_logger().warning(notice)
        self.bridge, self.latest, self.closing = CvBridge(), None, False
        self.arrived = threading.Condition()
        self.publisher = self.create_publisher(Image, "depth", 1)
        # All inference is here: the callback only swaps a reference, so that the executor is never held up.
        self.worker = threading.Thread(target=self.work)
        self.worker.start()
        self.create_subscription(Image, "image", self.receive, qos_profile_sensor_data)

    def receive(self, message: Image) -> None:
        """Replace the picture that nobody has taken yet."""
        with self.arrived:
            self.latest = message
            self.arrived.notify()

    def work(self) -> None:
        """Estimate the latest picture, again and again."""
        while True:
            with self.arrived:
                self.arrived.wait_for(lambda: self.latest is not None or self.closing)
                if self.closing:
                    return
                message, self.latest = self.latest, None
            result = self.estimator(self.bridge.imgmsg_to_cv2(message, "rgb8"))
            depth = self.bridge.cv2_to_imgmsg(result.depth, "32FC1")
            depth.header = message.header  # its time and frame are the picture's
            self.publisher.publish(depth)

    def close(self) -> None:
        """End the worker before its engine."""
        with self.arrived:
            self.closing = True
            self.arrived.notify()
        self.worker.join()
        self.estimator.close()


if __name__ == "__main__":
    rclpy.init()
    with contextlib.closing(DepthNode()) as node, contextlib.suppress(KeyboardInterrupt):
        rclpy.spin(node)
