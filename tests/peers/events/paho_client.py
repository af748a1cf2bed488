"""Eclipse Paho, the MQTT client in Python."""
import queue
import socket

from paho.mqtt.client import CallbackAPIVersion
from paho.mqtt.client import Client as Paho
from paho.mqtt.client import MQTTv5, MQTTv311
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions


class Refused(Exception):
    """What the broker answers where the library knows no exception, with the reason code as the library names it."""

    def __init__(self, reason):
        super().__init__(f"{reason.value}: {reason}")
        self.code = str(reason)


def properties(kind, values):
    """Values by their names in the library, such as UserProperty or TopicAlias."""
    made = Properties(kind)
    for name, value in (values or {}).items():
        if name == "UserProperty":
            value = [tuple(pair) for pair in value]
        setattr(made, name, value)
    return made


class Client:
    """One connection. What comes in is kept until it is asked for."""

    def __init__(self):
        self.client = None
        self.five = False
        self.answers, self.messages, self.ends = queue.Queue(), queue.Queue(), queue.Queue()

    def connect(self, host, port, client_id, version=5, will=None, clean=True, seconds=20):
        """The reason code of the broker's answer, as the library names it; `will`: topic, payload, qos and retain."""
        self._forget()
        self.five = version == 5
        more = {} if self.five else {"clean_session": clean}
        made = Paho(
            CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5 if self.five else MQTTv311, reconnect_on_failure=False, **more
        )
        made.on_connect = lambda _client, _data, _flags, reason, _properties: self.answers.put(("connect", reason))
        made.on_connect_fail = lambda *_: self.answers.put(("failed", None))
        made.on_subscribe = lambda _client, _data, mid, reasons, _properties: self.answers.put((("subscribe", mid), reasons))
        made.on_unsubscribe = lambda _client, _data, mid, reasons, _properties: self.answers.put((("unsubscribe", mid), reasons))
        made.on_publish = lambda _client, _data, mid, reason, _properties: self.answers.put((("publish", mid), reason))
        made.on_message = lambda _client, _data, message: self.messages.put(message)
        made.on_disconnect = lambda _client, _data, _flags, reason, _properties: self._ended(reason)
        if will:
            made.will_set(**will)
        made.connect(host, port, **({"clean_start": clean} if self.five else {}))
        self.client = made
        made.loop_start()
        return str(self._answer("connect", seconds))

    def publish(self, topic, payload="", qos=1, retain=False, properties_of=None, seconds=20):
        """The reason code of the broker's answer, or nothing with QoS 0."""
        more = {"properties": properties(PacketTypes.PUBLISH, properties_of)} if self.five and properties_of else {}
        sent = self.client.publish(topic, payload, qos, retain, **more)
        reason = self._answer(("publish", sent.mid), seconds)
        if qos and reason.is_failure:
            raise Refused(reason)
        return str(reason) if qos else None

    def subscribe(self, filters, qos=1, seconds=20):
        """A reason code for each topic filter, as the library names them."""
        of_one = (lambda name: (name, SubscribeOptions(qos=qos))) if self.five else (lambda name: (name, qos))
        _, mid = self.client.subscribe([of_one(name) for name in filters])
        return [str(reason) for reason in self._answer(("subscribe", mid), seconds)]

    def unsubscribe(self, filters, seconds=20):
        _, mid = self.client.unsubscribe(filters)
        self._answer(("unsubscribe", mid), seconds)

    def next(self, seconds=20):
        """The next message, or nothing when none comes in time."""
        try:
            message = self.messages.get(timeout=seconds)
        except queue.Empty:
            return None
        users = getattr(getattr(message, "properties", None), "UserProperty", [])
        return {
            "topic": message.topic, "payload": message.payload.decode(), "qos": message.qos,
            "retain": bool(message.retain), "user_properties": users,
        }

    def end(self, seconds=20):
        """Waits for the end of the connection: why, as the library says it."""
        return str(self.ends.get(timeout=seconds))

    def disconnect(self):
        self.client.disconnect()

    def vanish(self):
        """Closes the socket without a word: the broker publishes the will."""
        self.client.socket().shutdown(socket.SHUT_RDWR)

    def _ended(self, reason):
        self.ends.put(reason)
        self.answers.put(("ended", reason))

    def _answer(self, what, seconds):
        while True:
            kind, reason = self.answers.get(timeout=seconds)
            if kind == what:
                return reason
            if kind in ("ended", "failed"):
                self.answers.put((kind, reason))
                raise ConnectionError(f"the connection ended: {reason}")

    def _forget(self):
        if self.client is not None:
            self.client.loop_stop()
        for one in (self.answers, self.messages, self.ends):
            while not one.empty():
                one.get_nowait()
