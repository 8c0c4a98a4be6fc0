namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Puts busybox, with all its commands in /bin, into a server.</summary>
internal static class BusyboxServer
{
    private static readonly string[] Commands =
    [
        "cat", "chmod", "chroot", "cp", "dd", "echo", "head", "id", "kill", "ln", "ls", "mkdir", "mknod", "mount", "rm",
        "setsid", "sh", "sleep", "tail", "tr", "true", "unshare", "wc", "yes",
    ];

    /// <summary>Started, with the image <c>demo/busybox</c> in it.</summary>
    public static Task<ServerProcess> StartAsync(params string[] flags) => StartAsync(new ServerProcess(), flags);

    public static async Task<ServerProcess> StartAsync(ServerProcess server, params string[] flags)
    {
        try
        {
            await server.StartAsync(flags);
            await PushAsync(server);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    private static async Task PushAsync(ServerProcess server)
    {
        string root = Path.Combine(server.Folder, "busybox");
        Directory.CreateDirectory(root + "/bin");
        File.Copy("/bin/busybox", root + "/bin/busybox");
        foreach (string command in Commands)
        {
            File.CreateSymbolicLink($"{root}/bin/{command}", "busybox");
        }

        (await server.BerthAsync("image", "pack", "-q", "--cmd", "cat", "-e", "PATH=/bin", "demo/busybox", root))
            .Succeed();
    }
}
