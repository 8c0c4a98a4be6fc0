namespace Berth.Node.Linux;

/// <summary>A range of user or group ids: inside id <c>Inside + n</c> is host id <c>Outside + n</c>.</summary>
public readonly record struct IdRange(uint Inside, uint Outside, uint Count)
{
    public override string ToString() => $"{Inside} {Outside} {Count}\n";
}

/// <summary>
/// A user namespace held only for its id maps, as mount_setattr(2) wants one. No process lives in it.
/// </summary>
public sealed class UserNamespace : IDisposable
{
    private UserNamespace(FileDescriptor descriptor) => Descriptor = descriptor;

    public FileDescriptor Descriptor { get; }

    /// <summary>
    /// A multithreaded process can't make itself a user namespace (unshare(2)), so a berth-init is started in its
    /// holding role: it forks a child into a new one, tells its process id, and stays until its input ends.
    /// </summary>
    public static async Task<UserNamespace> CreateAsync(
        string initPath,
        IReadOnlyList<IdRange> users,
        IReadOnlyList<IdRange> groups,
        ReadinessPoller poller,
        CancellationToken cancellationToken)
    {
        using Pipe hold = Pipe.Create();
        using Pipe told = Pipe.Create();
        using PidHandle holder = Spawner.Start(
            new SpawnSpec(initPath, ["hold-user-namespace"], Descriptors: [hold.ReadEnd, told.WriteEnd]), poller);
        hold.ReadEnd.Dispose();
        told.WriteEnd.Dispose();
        try
        {
            await using PipeReadStream answer = new(told.ReadEnd, poller);
            byte[] child = new byte[sizeof(int)];
            if (await answer.ReadAtLeastAsync(child, child.Length, throwOnEndOfStream: false, cancellationToken) == 0)
            {
                ProgramEnd? end = await holder.Exited;
                throw new LinuxException("clone", "CLONE_NEWUSER", end?.ExitCode ?? 0);
            }

            string folder = $"/proc/{BitConverter.ToInt32(child)}";
            await WriteMapAsync($"{folder}/uid_map", users, cancellationToken);
            await WriteMapAsync($"{folder}/gid_map", groups, cancellationToken);
            int number = Libc.Open($"{folder}/ns/user", Libc.O_RDONLY | Libc.O_CLOEXEC, 0);
            return number >= 0
                ? new UserNamespace(new FileDescriptor(number))
                : throw LinuxException.Last("open", $"{folder}/ns/user");
        }
        finally
        {
            hold.WriteEnd.Dispose();
            await holder.Exited;
        }
    }

    public void Dispose() => Descriptor.Dispose();

    /// <summary>The kernel takes a map in one write only (user_namespaces(7)).</summary>
    private static Task WriteMapAsync(
        string path, IReadOnlyList<IdRange> ranges, CancellationToken cancellationToken) =>
        File.WriteAllTextAsync(path, string.Concat(ranges), cancellationToken);
}
