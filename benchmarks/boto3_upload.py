"""Uploads a file with boto3's own transfer manager: ``python -m benchmarks.boto3_upload ENDPOINT BUCKET KEY FILE``.

The access keys come from the environment, as boto3 finds them.
"""

from __future__ import annotations

import sys


def main() -> None:
    import boto3

    endpoint_url, bucket, key, file = sys.argv[1:]
    boto3.client("s3", endpoint_url=endpoint_url, region_name="us-east-1").upload_file(file, bucket, key)


if __name__ == "__main__":
    main()
