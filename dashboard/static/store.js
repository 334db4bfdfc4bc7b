// What is known: builds and hosts, and up to which change. Frames come in, what
// changed comes out. Knows nothing of the page.

import { parse } from "./format.js";

/** Members that a build always has, so that nothing else need ask. */
const EMPTY = { phases: [], fields: {} };

/** RFC 7396, but a null at the top stays: a build has all its members. */
export function patched(target, patch) {
  const out = { ...target };
  for (const [key, value] of Object.entries(patch)) {
    out[key] = isObject(value) ? patchedInner(out[key], value) : value;
  }
  return out;
}

function patchedInner(target, patch) {
  const out = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete out[key];
    else out[key] = isObject(value) ? patchedInner(out[key], value) : value;
  }
  return out;
}

function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** All runs of a project share the id up to the last dash. */
export function projectOf(id) {
  const dash = id.lastIndexOf("-");
  return dash < 0 ? id : id.slice(0, dash);
}

export class Store {
  builds = new Map();
  hosts = new Map();
  /** Newest change applied; null before the first snapshot. */
  seq = null;
  truncated = false;
  /** Builds that are shown without being in the snapshot's set: old ones. */
  #extra = new Map();
  #newestRun = new Map();

  get(id) {
    return this.builds.get(id) ?? this.#extra.get(id);
  }

  /** A host's time on our clock, milliseconds; null stays null. */
  ours(host, time) {
    const t = parse(time);
    return t === null ? null : t - (this.hosts.get(host)?.clock_offset_ms ?? 0);
  }

  /** A later run of the same project is known. */
  superseded(build) {
    return (this.#newestRun.get(projectOf(build.id)) ?? 0) > build.run;
  }

  /** Keeps a build that was asked for by itself. */
  keep(build) {
    if (!this.builds.has(build.id)) this.#extra.set(build.id, { ...EMPTY, ...build });
  }

  /**
   * Applies a frame. Returns what to draw: {all: true}, or {builds: [id], hosts: [name]},
   * with `missing` for a build that only the server can complete.
   */
  apply(frame) {
    const change = this.#applied(frame);
    if (typeof frame.seq === "number") this.seq = frame.seq;
    return change;
  }

  #applied({ type, data }) {
    switch (type) {
      case "snapshot":
        return this.#replace(data);
      case "build":
        return this.#put(data);
      case "build_update":
        return this.#patch(data);
      case "build_complete":
        return this.#patch(data, true);
      case "host_update":
        this.hosts.set(data.name, data);
        return { hosts: [data.name] };
      default:
        return {};
    }
  }

  /** What a plain HTTP read found: only what is newer counts, and nothing is gone. */
  merge({ builds, hosts }) {
    for (const host of hosts) this.hosts.set(host.name, host);
    for (const build of builds) this.#put(build);
    return { all: true };
  }

  #replace(data) {
    this.builds.clear();
    this.#newestRun.clear();
    this.hosts = new Map(data.hosts.map((host) => [host.name, host]));
    this.truncated = data.truncated === true;
    for (const build of data.builds) this.#set({ ...EMPTY, ...build });
    return { all: true };
  }

  #put(build) {
    const have = this.get(build.id);
    if (have && have.seq > build.seq) return {};
    const fresh = !this.builds.has(build.id);
    this.#set({ ...EMPTY, ...build });
    return { builds: [build.id], fresh };
  }

  #patch(patch, complete = false) {
    const have = this.get(patch.id);
    if (have && have.seq >= patch.seq) return {};
    // A new build's first patch has everything; a part of an unknown one is of no use.
    if (!have && (complete || !patch.project || !patch.state)) return { missing: patch.id };
    const fresh = !this.builds.has(patch.id);
    this.#set(patched(have ?? EMPTY, patch));
    return { builds: [patch.id], fresh };
  }

  #set(build) {
    this.#extra.delete(build.id);
    this.builds.set(build.id, build);
    const project = projectOf(build.id);
    if (build.run > (this.#newestRun.get(project) ?? 0)) this.#newestRun.set(project, build.run);
  }

  /** Forgets a build that no list shows any more. */
  forget(id) {
    this.builds.delete(id);
  }
}
