// The npm SDK wechatpay-axios-plugin, asked by run.py: see answer.cjs.
'use strict';
const { createRequire } = require('node:module');

const answer = require('./answer.cjs');

const { Rsa, Aes, Formatter, Hash, Transformer } = createRequire(`${process.cwd()}/`)('wechatpay-axios-plugin');

const operations = {
  // A Pay v3 notification, encrypted and signed in WeChat's place.
  seal_v3({ plaintext, aad, key }) {
    const nonce = Formatter.nonce(12);
    return { nonce, ciphertext: Aes.AesGcm.encrypt(plaintext, key, nonce, aad) };
  },
  sign_v3({ body, private_key: pem }) {
    const [timestamp, nonce] = [`${Formatter.timestamp()}`, Formatter.nonce()];
    return { timestamp, nonce, signature: Rsa.sign(Formatter.response(timestamp, nonce, body), Rsa.from(pem)) };
  },
  accept_v3({ headers: h, body, public_key: pem, key }) {
    const signed = Formatter.response(h['wechatpay-timestamp'], h['wechatpay-nonce'], body);
    if (!Rsa.verify(signed, h['wechatpay-signature'], Rsa.from(pem, Rsa.KEY_TYPE_PUBLIC))) return { accepted: false };
    const { resource } = JSON.parse(body);
    const event = Aes.AesGcm.decrypt(resource.ciphertext, key, resource.nonce, resource.associated_data);
    return { accepted: true, event: JSON.parse(event) };
  },
  // A Pay v2 notification: XML, signed by MD5 or HMAC-SHA256.
  sign_v2({ fields, key, type }) {
    return { xml: Transformer.toXml({ ...fields, sign: Hash.sign(type, fields, key) }) };
  },
  seal_v2({ fields, key }) {
    const document = Transformer.toXml(fields).replace(/^<xml>/, '<root>').replace(/<\/xml>$/, '</root>');
    return { req_info: Aes.AesEcb.encrypt(document, Hash.md5(key)) };
  },
  accept_v2({ xml, key, type }) {
    const { sign, ...fields } = Transformer.toObject(xml);
    const accepted = Hash.equals(sign, Hash.sign(type, fields, key));
    return accepted ? { accepted, event: { ...fields, sign } } : { accepted };
  },
  open_v2({ req_info: text, key }) {
    return { event: Transformer.toObject(Aes.AesEcb.decrypt(text, Hash.md5(key))) };
  },
};

answer(operations);
