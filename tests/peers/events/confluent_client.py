"""librdkafka, by its Python binding."""
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic


def place(message):
    return {"topic": message.topic(), "partition": message.partition(), "offset": message.offset()}


def text(value):
    return None if value is None else value.decode()


def results(futures, seconds):
    """What became of each, where an administrator asks about several at once."""
    told = {}
    for name, future in futures.items():
        try:
            future.result(seconds)
            told[str(name)] = "done"
        except KafkaException as error:
            told[str(name)] = error.args[0].name()
    return told


class Client:
    """At most one producer, one consumer and one administrator, each made when it is first needed."""

    def __init__(self):
        self.settings = {}
        self.producer = self.consumer = self.administrator = None

    def configure(self, servers, **settings):
        """Where the brokers are, and further settings in librdkafka's words, for what is made from now on."""
        self.settings = {"bootstrap.servers": servers, "socket.connection.setup.timeout.ms": 5000, **settings}
        self.producer = self.consumer = self.administrator = None

    def produce(self, topic, value, key=None, partition=-1, seconds=20):
        told = []
        self._producer().produce(
            topic, value.encode(), key and key.encode(), partition, lambda error, message: told.append((error, message))
        )
        self._producer().flush(seconds)
        if not told:
            raise TimeoutError("nobody told whether it was delivered")
        error, message = told[0]
        if error is not None:
            raise KafkaException(error)
        return place(message)

    def init_transactions(self, seconds=20):
        self._producer().init_transactions(seconds)

    def begin_transaction(self):
        self._producer().begin_transaction()

    def send_offsets(self, topic, partition, offset, seconds=20):
        group = self._consumer().consumer_group_metadata()
        self._producer().send_offsets_to_transaction([TopicPartition(topic, partition, offset)], group, seconds)

    def commit_transaction(self, seconds=20):
        self._producer().commit_transaction(seconds)

    def abort_transaction(self, seconds=20):
        self._producer().abort_transaction(seconds)

    def subscribe(self, topics):
        self._consumer().subscribe(topics)

    def assign(self, topic, partition=0, offset=0):
        self._consumer().assign([TopicPartition(topic, partition, offset)])

    def consume(self, count=1, seconds=20):
        """So many messages; fewer when the time is over. An error of the consumer is raised."""
        until, messages = time.monotonic() + seconds, []
        while len(messages) < count and time.monotonic() < until:
            message = self._consumer().poll(0.2)
            if message is None or (message.error() and message.error().code() == KafkaError._PARTITION_EOF):
                continue
            if message.error():
                raise KafkaException(message.error())
            messages.append({**place(message), "key": text(message.key()), "value": text(message.value())})
        return messages

    def commit(self):
        done = self._consumer().commit(asynchronous=False)
        for partition in done or []:
            if partition.error:
                raise KafkaException(partition.error)

    def committed(self, topic, partition=0, seconds=20):
        [found] = self._consumer().committed([TopicPartition(topic, partition)], timeout=seconds)
        if found.error:
            raise KafkaException(found.error)
        return found.offset

    def offsets(self, topic, partition=0, seconds=20):
        return self._consumer().get_watermark_offsets(TopicPartition(topic, partition), seconds)

    def close_consumer(self):
        if self.consumer is not None:
            self.consumer.close()
        self.consumer = None

    def topics(self, topic=None, seconds=20):
        """Names of topics with what is wrong with each, and the brokers as they are told to be."""
        found = self._administrator().list_topics(topic, seconds)
        return {
            "topics": {name: one.error.name() if one.error else None for name, one in found.topics.items()},
            "brokers": {str(one.id): f"{one.host}:{one.port}" for one in found.brokers.values()},
        }

    def create_topics(self, topics, partitions=1, seconds=20):
        asked = [NewTopic(topic, partitions, 1) for topic in topics]
        return results(self._administrator().create_topics(asked, request_timeout=seconds), seconds)

    def delete_topics(self, topics, seconds=20):
        return results(self._administrator().delete_topics(topics, request_timeout=seconds), seconds)

    def create_partitions(self, topic, total, seconds=20):
        asked = [NewPartitions(topic, total)]
        return results(self._administrator().create_partitions(asked, request_timeout=seconds), seconds)

    def describe_configs(self, topic, seconds=20):
        asked = [ConfigResource(ConfigResource.Type.TOPIC, topic)]
        return results(self._administrator().describe_configs(asked, request_timeout=seconds), seconds)

    def groups(self, seconds=20):
        found = self._administrator().list_consumer_groups(request_timeout=seconds).result(seconds)
        for error in found.errors:
            raise error
        return sorted(group.group_id for group in found.valid)

    def describe_groups(self, groups, seconds=20):
        return results(self._administrator().describe_consumer_groups(groups, request_timeout=seconds), seconds)

    def delete_groups(self, groups, seconds=20):
        return results(self._administrator().delete_consumer_groups(groups, request_timeout=seconds), seconds)

    def _producer(self):
        if self.producer is None:
            self.producer = Producer({"message.timeout.ms": 15000, **self._without("group.", "session.", "auto.")})
        return self.producer

    def _consumer(self):
        if self.consumer is None:
            usual = {"session.timeout.ms": 6000, "auto.offset.reset": "earliest", "enable.auto.commit": False}
            self.consumer = Consumer({**usual, **self._without("transactional.", "acks", "message.", "enable.idem")})
        return self.consumer

    def _administrator(self):
        if self.administrator is None:
            self.administrator = AdminClient({"bootstrap.servers": self.settings["bootstrap.servers"]})
        return self.administrator

    def _without(self, *beginnings):
        return {name: value for name, value in self.settings.items() if not name.startswith(beginnings)}
