// Files out of inputs and drops.
import { FileError, type Given, MAX_FILE, MAX_FILES } from "./files.ts";

export async function taken(file: File, path: string): Promise<Given> {
  if (file.size > MAX_FILE) throw new FileError(`${path} (> 16 MiB)`);
  return { path, octets: new Uint8Array(await file.arrayBuffer()) };
}

/** The files of an input that are wanted, by the path below what was chosen. */
export async function chosen(input: HTMLInputElement, wanted: (path: string) => boolean = () => true): Promise<Given[]> {
  const files = [...(input.files ?? [])].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
  return Promise.all(files.filter(({ path }) => wanted(path)).map(({ file, path }) => taken(file, path)));
}

// Chromium has handles, and refuses to read through entries in a page that was opened from disk; Firefox and Safari have
// entries alone. TypeScript's library knows neither well.
interface Handle {
  readonly kind: "file" | "directory";
  readonly name: string;
  getFile(): Promise<File>;
  values(): AsyncIterable<Handle>;
}
type Item = DataTransferItem & { getAsFileSystemHandle?: () => Promise<Handle | null> };

/** Everything below what was dropped. */
export async function dropped(items: DataTransferItemList): Promise<Given[]> {
  // What was dropped must be asked for before the first wait: the list is empty afterwards.
  const all = [...items].map((item: Item) => ({
    handle: item.getAsFileSystemHandle?.(), entry: item.webkitGetAsEntry(), file: item.getAsFile(),
  }));
  const files: Given[] = [];
  for (const { handle, entry, file } of all) {
    const known = await handle;
    if (known != null) await ofHandle(known, known.name, files);
    else if (entry?.isDirectory === true) await ofDirectory(entry as FileSystemDirectoryEntry, files);
    else if (file !== null) take(files, await taken(file, file.name));
  }
  return files;
}

function take(files: Given[], file: Given): void {
  if (files.length >= MAX_FILES) throw new FileError(`${file.path} … (> ${MAX_FILES})`);
  files.push(file);
}

async function ofHandle(handle: Handle, path: string, files: Given[]): Promise<void> {
  if (handle.kind === "file") return take(files, await taken(await handle.getFile(), path));
  for await (const one of handle.values()) await ofHandle(one, `${path}/${one.name}`, files);
}

async function ofDirectory(directory: FileSystemDirectoryEntry, files: Given[]): Promise<void> {
  const reader = directory.createReader();
  for (;;) {
    // A reader gives a hundred or so at a time, and in the end none.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const entry of some) {
      if (entry.isDirectory) await ofDirectory(entry as FileSystemDirectoryEntry, files);
      else {
        const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
        take(files, await taken(file, entry.fullPath.replace(/^\//, "")));
      }
    }
  }
}
