// AWS Signature Version 4 for this page's own requests, by WebCrypto. The secret itself is not kept: only a key that can
// sign with it and cannot be read out.

const utf8 = new TextEncoder();
const region = 'us-east-1', service = 'lambda';  // the server takes any region

const hex = bytes => [...new Uint8Array(bytes)].map(b => b.toString(16).padStart(2, '0')).join('');
const sha256 = async text => hex(await crypto.subtle.digest('SHA-256', utf8.encode(text)));
const hmacKey = bytes => crypto.subtle.importKey('raw', bytes, {name: 'HMAC', hash: 'SHA-256'}, false, ['sign']);
const hmac = (key, text) => crypto.subtle.sign('HMAC', key, utf8.encode(text));

/** RFC 3986: all but its unreserved characters. */
export const escape = text => encodeURIComponent(text)
  .replace(/[!'()*]/g, c => '%' + c.charCodeAt(0).toString(16).toUpperCase());

/** crypto.subtle is there on https and loopback pages only. */
export const canSign = () => Boolean(globalThis.crypto?.subtle);

export async function makeSigner(id, secret) {
  const root = await hmacKey(utf8.encode('AWS4' + secret));

  /** The headers to add. `path` and the values of `query` ([name, value] pairs) are escaped already. */
  return async function sign(method, path, query, headers, body) {
    const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
    const hash = await sha256(body ?? '');
    const added = {'x-amz-date': time, 'x-amz-content-sha256': hash};
    const signed = {host: location.host, ...headers, ...added};
    const names = Object.keys(signed).sort();
    const canonical = [
      method, path.split('/').map(escape).join('/'),
      query.map(([name, value]) => name + '=' + value).sort().join('&'),
      ...names.map(name => name + ':' + signed[name].trim()), '', names.join(';'), hash].join('\n');
    const day = time.slice(0, 8), scope = [day, region, service, 'aws4_request'];
    const toSign = ['AWS4-HMAC-SHA256', time, scope.join('/'), await sha256(canonical)].join('\n');
    let key = root;
    for (const part of scope) key = await hmacKey(await hmac(key, part));
    added.authorization = `AWS4-HMAC-SHA256 Credential=${id}/${scope.join('/')}, SignedHeaders=${names.join(';')}, ` +
      `Signature=${hex(await hmac(key, toSign))}`;
    return added;
  };
}
