namespace Berth.Node.Linux;

/// <summary>An executable's content in memory, where nobody can change it any more (memfd_create(2)).</summary>
internal static class SealedProgram
{
    private const int AllSeals = Libc.F_SEAL_SEAL | Libc.F_SEAL_SHRINK | Libc.F_SEAL_GROW | Libc.F_SEAL_WRITE;

    /// <summary>The first bytes of a program of the machine's own code (elf(5)).</summary>
    private static ReadOnlySpan<byte> ElfMagic => [0x7F, (byte)'E', (byte)'L', (byte)'F'];

    /// <summary>A copy of a program; it goes when the descriptor is closed and nothing of it runs. Null for a script,
    /// which its interpreter would have to find by a name.</summary>
    /// <param name="path">Of the file.</param>
    /// <exception cref="IOException">The file can't be read, or there is no memory.</exception>
    public static async Task<FileDescriptor?> CopyAsync(string path, CancellationToken cancellationToken)
    {
        await using FileStream source = File.OpenRead(path);
        byte[] first = new byte[ElfMagic.Length];
        if (await source.ReadAtLeastAsync(first, first.Length, throwOnEndOfStream: false, cancellationToken)
            < first.Length || !ElfMagic.SequenceEqual(first))
        {
            return null;
        }

        source.Position = 0;
        FileDescriptor memory = Create(Path.GetFileName(path));
        try
        {
            await using (FileStream target = new($"/proc/self/fd/{memory.Number}", FileMode.Open, FileAccess.Write))
            {
                await source.CopyToAsync(target, cancellationToken);
            }

            return Libc.FcntlInt(memory, Libc.F_ADD_SEALS, AllSeals) < 0
                ? throw LinuxException.Last("fcntl", "F_ADD_SEALS")
                : memory;
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }

    private static FileDescriptor Create(string name)
    {
        const int Always = Libc.MFD_CLOEXEC | Libc.MFD_ALLOW_SEALING;
        int number = Libc.MemFdCreate(name, Always | Libc.MFD_EXEC);
        if (number < 0)
        {
            // Before Linux 6.3 every such file could be executed, and none said so.
            number = Libc.MemFdCreate(name, Always);
        }

        return number >= 0 ? new FileDescriptor(number) : throw LinuxException.Last("memfd_create", name);
    }
}
