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

/** Everything below what was dropped. */
export async function dropped(items: DataTransferItemList): Promise<Given[]> {
  // Entries must be asked for before the first wait: the list is empty afterwards.
  const entries = [...items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  const files: Given[] = [];
  while (entries.length > 0) {
    const entry = entries.pop() as FileSystemEntry;
    const path = entry.fullPath.replace(/^\//, "");
    if (entry.isDirectory) entries.push(...(await inside(entry as FileSystemDirectoryEntry)));
    else files.push(await taken(await fileOf(entry as FileSystemFileEntry), path));
    if (files.length + entries.length > MAX_FILES) throw new FileError(`${path} … (> ${MAX_FILES})`);
  }
  return files;
}

async function inside(directory: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = directory.createReader();
  const all: FileSystemEntry[] = [];
  // A reader gives a hundred or so at a time, and in the end none.
  while (all.length <= MAX_FILES) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) break;
    all.push(...some);
  }
  return all;
}

const fileOf = (entry: FileSystemFileEntry) => new Promise<File>((resolve, reject) => entry.file(resolve, reject));
