// What this device keeps: the scans of the queue, and values by name. One interface, in IndexedDB and in memory.
//
// A change is `{putScan?, removeScan?: [order], put?: {name: value}, remove?: [name]}`, made as a whole or not at all.

const NAME = 'tixgo.gate';

/** A store in IndexedDB, or in memory where the browser keeps nothing: `isLasting` says which. */
export async function openStore() {
  const store = new IndexedDbStore();
  try {
    await store.scans();
    return store;
  } catch {
    return new MemoryStore();
  }
}

/** Keeps everything as long as the page lives. */
export class MemoryStore {
  isLasting = false;
  #scans = new Map();
  #values = new Map();
  #last = 0;

  async scans() {
    return structuredClone([...this.#scans.values()].sort((a, b) => a.order - b.order));
  }

  async get(name) {
    return structuredClone(this.#values.get(name));
  }

  async entries(prefix) {
    return structuredClone(new Map([...this.#values].filter(([name]) => name.startsWith(prefix))));
  }

  async addScan(scan, put = {}) {
    const order = (this.#last += 1);
    this.#apply({ putScan: { ...scan, order }, put });
    return order;
  }

  async change(orders, decide) {
    return orders.filter((order) => {
      const changes = decide(structuredClone(this.#scans.get(order)), order);
      if (changes) this.#apply(changes);
      return changes;
    });
  }

  async write(changes) {
    this.#apply(changes);
  }

  #apply({ putScan, removeScan = [], put = {}, remove = [] }) {
    if (putScan) this.#scans.set(putScan.order, structuredClone(putScan));
    for (const order of removeScan) this.#scans.delete(order);
    for (const [name, value] of Object.entries(put)) this.#values.set(name, structuredClone(value));
    for (const name of remove) this.#values.delete(name);
  }
}

/** Keeps everything beyond the life of the page. */
export class IndexedDbStore {
  isLasting = true;
  #database = null;

  /** All scans, in the order in which they were made. */
  async scans() {
    return this.#run('readonly', ({ scans }) => scans.getAll());
  }

  /** The value `name`, or `undefined`. */
  async get(name) {
    return this.#run('readonly', ({ values }) => values.get(name));
  }

  /** The values whose names begin with `prefix`, by name. */
  async entries(prefix) {
    const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`);
    let names;
    const found = await this.#run('readonly', ({ values }) => {
      names = values.getAllKeys(range);
      return values.getAll(range);
    });
    return new Map(names.result.map((name, index) => [name, found[index]]));
  }

  /** Keeps a new scan, and the values `put`. Returns its place in the order, which is its property `order`. */
  async addScan(scan, put = {}) {
    return this.#run('readwrite', (stores) => {
      apply(stores, { put });
      return stores.scans.add(scan);
    });
  }

  /**
   * For each scan in `orders`, makes the change that `decide` returns for it as it is now (`undefined` if it is gone),
   * or none if that is `null`. Returns the orders for which there was one. Nobody, in no tab, changes anything in
   * between.
   */
  async change(orders, decide) {
    const changed = [];
    await this.#run('readwrite', (stores) => {
      for (const order of orders) {
        stores.scans.get(order).onsuccess = ({ target }) => {
          const changes = decide(target.result, order);
          if (!changes) return;
          apply(stores, changes);
          changed.push(order);
        };
      }
    });
    return changed;
  }

  /** Makes a change. One that `mayBeLost` when the phone loses its power now is made without waiting for the disk. */
  async write(changes, { mayBeLost = false } = {}) {
    await this.#run('readwrite', (stores) => void apply(stores, changes), mayBeLost ? 'relaxed' : 'strict');
  }

  /** Runs `work` in a transaction. A browser may close a database, for instance while a phone sleeps: it is opened anew. */
  async #run(mode, work, durability = 'strict') {
    let transaction;
    try {
      transaction = begin(await this.#open(), mode, durability);
    } catch {
      this.#database = null;
      transaction = begin(await this.#open(), mode, durability);
    }
    const [scans, values] = ['scans', 'values'].map((name) => transaction.objectStore(name));
    const request = work({ scans, values });
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new DOMException('nothing was kept', 'AbortError'));
    });
  }

  async #open() {
    this.#database ??= await open();
    this.#database.onclose = this.#database.onversionchange = () => {
      this.#database?.close();
      this.#database = null;
    };
    return this.#database;
  }
}

// What was said to be kept must be on the disk: a phone's battery ends without a word.
function begin(database, mode, durability) {
  return database.transaction(['scans', 'values'], mode, mode === 'readwrite' ? { durability } : {});
}

function apply({ scans, values }, { putScan, removeScan = [], put = {}, remove = [] }) {
  if (putScan) scans.put(putScan);
  for (const order of removeScan) scans.delete(order);
  for (const [name, value] of Object.entries(put)) values.put(value, name);
  for (const name of remove) values.delete(name);
}

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('scans', { keyPath: 'order', autoIncrement: true });
      request.result.createObjectStore('values');
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new DOMException('blocked', 'AbortError'));
  });
}
