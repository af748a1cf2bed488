"""aiokafka, a Kafka client in Python alone."""
import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic


class Client:
    """At most one producer, one consumer and one administrator, each made when it is first needed."""

    def __init__(self):
        self.servers, self.of_producer, self.of_consumer = None, {}, {}
        self.producer = self.consumer = self.administrator = None

    async def configure(self, servers, producer=None, consumer=None):
        """Where the brokers are, and further settings in aiokafka's words, for what is made from now on."""
        await self.close()
        self.servers, self.of_producer, self.of_consumer = servers, producer or {}, consumer or {}

    async def produce(self, topic, value, key=None, partition=None, seconds=20):
        producer = await self._producer()
        sent = producer.send_and_wait(topic, value.encode(), key and key.encode(), partition)
        sent = await asyncio.wait_for(sent, seconds)
        return {"topic": sent.topic, "partition": sent.partition, "offset": sent.offset}

    async def begin_transaction(self):
        await (await self._producer()).begin_transaction()

    async def send_offsets(self, topic, partition, offset, group):
        where = {TopicPartition(topic, partition): offset}
        await (await self._producer()).send_offsets_to_transaction(where, group)

    async def commit_transaction(self):
        await (await self._producer()).commit_transaction()

    async def abort_transaction(self):
        await (await self._producer()).abort_transaction()

    async def subscribe(self, topics):
        (await self._consumer()).subscribe(topics)

    async def assign(self, topic, partition=0, offset=0):
        consumer, where = await self._consumer(), TopicPartition(topic, partition)
        consumer.assign([where])
        consumer.seek(where, offset)

    async def consume(self, count=1, seconds=20):
        """So many messages; fewer when the time is over. An error of the consumer is raised."""
        consumer, messages, loop = await self._consumer(), [], asyncio.get_running_loop()
        until = loop.time() + seconds
        while len(messages) < count and loop.time() < until:
            found = await consumer.getmany(timeout_ms=200, max_records=count - len(messages))
            for message in (message for part in found.values() for message in part):
                place = {"topic": message.topic, "partition": message.partition, "offset": message.offset}
                messages.append({**place, "value": message.value.decode()})
        return messages

    async def commit(self):
        await (await self._consumer()).commit()

    async def committed(self, topic, partition=0):
        return await (await self._consumer()).committed(TopicPartition(topic, partition))

    async def topics(self):
        return sorted(await (await self._administrator()).list_topics())

    async def create_topics(self, topics, partitions=1):
        asked = [NewTopic(topic, partitions, 1) for topic in topics]
        done = await (await self._administrator()).create_topics(asked)
        return {topic[0]: topic[1] for topic in done.topic_errors}

    async def delete_topics(self, topics):
        done = await (await self._administrator()).delete_topics(topics)
        return {topic[0]: topic[1] for topic in done.topic_error_codes}

    async def close(self):
        for one in (self.producer, self.consumer):
            if one is not None:
                await one.stop()
        if self.administrator is not None:
            await self.administrator.close()
        self.producer = self.consumer = self.administrator = None

    async def _producer(self):
        if self.producer is None:
            producer = AIOKafkaProducer(bootstrap_servers=self.servers, **self.of_producer)
            await self._start(producer)
            self.producer = producer
        return self.producer

    async def _consumer(self):
        if self.consumer is None:
            usual = {"session_timeout_ms": 6000, "auto_offset_reset": "earliest", "enable_auto_commit": False}
            consumer = AIOKafkaConsumer(bootstrap_servers=self.servers, **{**usual, **self.of_consumer})
            await self._start(consumer)
            self.consumer = consumer
        return self.consumer

    async def _administrator(self):
        if self.administrator is None:
            administrator = AIOKafkaAdminClient(bootstrap_servers=self.servers)
            await administrator.start()
            self.administrator = administrator
        return self.administrator

    async def _start(self, one):
        try:
            await asyncio.wait_for(one.start(), 20)
        except BaseException:
            await one.stop()
            raise
