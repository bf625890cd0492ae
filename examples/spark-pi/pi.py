"""Pi by throwing darts, with unmodified Apache Spark on the cluster.

spark-submit --master spark://HOST:7077 examples/spark-pi/pi.py [PARTITIONS]
"""

from __future__ import annotations

import random
import sys

from pyspark.sql import SparkSession

DARTS = 100_000  # per partition


def hits(seed: int) -> int:
    throw = random.Random(seed).random
    return sum(throw() ** 2 + throw() ** 2 <= 1 for _ in range(DARTS))


def main() -> None:
    partitions = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    spark = SparkSession.builder.appName("pi").getOrCreate()
    total = spark.sparkContext.parallelize(range(partitions), partitions).map(hits).sum()
    print(f"Pi is roughly {4 * total / (DARTS * partitions):.4f}")
    spark.stop()


if __name__ == "__main__":
    main()
