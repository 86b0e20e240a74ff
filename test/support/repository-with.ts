import type { Repository } from '../../src/repository/index.ts';

/** A repository of which some methods are others; all else is the real one's. */
export function repositoryWith(repository: Repository, others: Partial<Repository>): Repository {
  return new Proxy(repository, {
    get: (target, key) => {
      const holder: object = key in others ? others : target;
      const value: unknown = Reflect.get(holder, key, holder);
      return typeof value === 'function' ? value.bind(holder) : value;
    },
  });
}
