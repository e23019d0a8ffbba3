const greeting = "hello from Node.js"; // made once: what stands outside the handler is in the snapshot

export const handler = async (event, context) => {
    console.log("asked by", context.awsRequestId);
    return { message: greeting, event };
};
