import { describeObjectStore } from '../../../test/contract/object-store.ts';
import { memoryStore } from './memory-store.ts';

describeObjectStore('the memory store', async () => memoryStore());
