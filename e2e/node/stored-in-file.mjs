// An adapter of oidc-provider that keeps everything in memory and, given a path, in a file too, so that the provider can be
// started again with what it knew. For tests: the whole file is written at every change.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';

export function storedIn(path) {
  const rows = new Map();
  if (path) {
    try {
      for (const [key, payload] of JSON.parse(readFileSync(path))) rows.set(key, payload);
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
    }
  }
  const changed = () => {
    if (!path) return;
    writeFileSync(`${path}.new`, JSON.stringify([...rows]));
    renameSync(`${path}.new`, path);
  };
  const find = (model, matches) => {
    for (const [key, payload] of rows) if (key.startsWith(`${model}:`) && matches(payload)) return payload;
    return undefined;
  };

  return class {
    /** Forgets clients with their access tokens. */
    static forgetClients(ids) {
      for (const [key, { client_id: id, clientId }] of rows) {
        const gone = key.startsWith('Client:') ? ids.has(id) : key.startsWith('AccessToken:') && ids.has(clientId);
        if (gone) rows.delete(key);
      }
      changed();
    }

    constructor(model) { this.model = model; }
    key(id) { return `${this.model}:${id}`; }
    async find(id) { return rows.get(this.key(id)); }
    async findByUid(uid) { return find(this.model, (payload) => payload.uid === uid); }
    async findByUserCode(userCode) { return find(this.model, (payload) => payload.userCode === userCode); }
    async upsert(id, payload) { rows.set(this.key(id), payload); changed(); }
    async consume(id) { rows.get(this.key(id)).consumed = Math.floor(Date.now() / 1000); changed(); }
    async destroy(id) { rows.delete(this.key(id)); changed(); }
    async revokeByGrantId(grantId) {
      for (const [key, payload] of rows) if (payload.grantId === grantId) rows.delete(key);
      changed();
    }
  };
}
