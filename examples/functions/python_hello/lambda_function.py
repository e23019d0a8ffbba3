import logging

logger = logging.getLogger()
logger.setLevel(logging.INFO)

greeting = "hello from Python"  # made once: what stands outside the handler is in the snapshot


def lambda_handler(event, context):
    logger.info("asked by %s", context.aws_request_id)
    return {"message": greeting, "event": event}
