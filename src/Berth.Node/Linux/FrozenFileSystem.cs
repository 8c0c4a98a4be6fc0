using System.Globalization;
using Berth.Core.Errors;

namespace Berth.Node.Linux;

/// <summary>
/// A file system whose writers wait, and whose device holds all of it (FIFREEZE). Whoever waits for it can't even be
/// killed, so it must not stay so whatever happens here: a program of its own stands by, and thaws it when the time is
/// up or this process has ended.
/// </summary>
internal sealed class FrozenFileSystem
{
    private const string Shell = "/bin/sh";

    /// <summary>$1: seconds; descriptor 3: a folder of the file system. A byte on standard input says that all is
    /// done. It is deaf to the signals by which a service manager stops whole groups.</summary>
    private const string Standby = """
        trap '' TERM INT HUP
        command -v timeout && command -v fsfreeze || exit 69
        [ -n "$(timeout -s KILL "$1" head -c 1)" ] && exit
        tries=0
        while [ $tries -lt 50 ] && ! fsfreeze --unfreeze /proc/self/fd/3; do
          tries=$((tries + 1))
          sleep 0.2
        done
        """;

    private readonly FileDescriptor folder;
    private readonly PidHandle standby;
    private readonly PipeWriteStream word;

    private FrozenFileSystem(FileDescriptor folder, PidHandle standby, PipeWriteStream word)
    {
        this.folder = folder;
        this.standby = standby;
        this.word = word;
    }

    /// <summary>Writes out what is to be written and freezes. Throws BerthException (MissingTool) and LinuxException;
    /// then nothing is frozen.</summary>
    /// <param name="folder">Of the file system, open for reading, and open until it is thawed.</param>
    /// <param name="limit">Whole seconds. Then it is thawed.</param>
    public static async Task<FrozenFileSystem> FreezeAsync(
        FileDescriptor folder, TimeSpan limit, ReadinessPoller poller)
    {
        using Pipe input = Pipe.Create();
        using Pipe output = Pipe.Create();
        PidHandle standby = Spawner.Start(
            new SpawnSpec(
                Shell,
                ["-c", Standby, "berth-thaw", ((int)limit.TotalSeconds).ToString(CultureInfo.InvariantCulture)],
                Descriptors: [input.ReadEnd, output.WriteEnd, null, folder]),
            poller);
        FrozenFileSystem frozen = new(folder, standby, new PipeWriteStream(input.WriteEnd.Duplicate(), poller));
        try
        {
            // Their only other holder is the program now, and its end can be seen.
            input.Dispose();
            output.WriteEnd.Dispose();
            await StandsByAsync(output.ReadEnd.Duplicate(), poller);
            await Task.Run(frozen.Freeze);
            return frozen;
        }
        catch
        {
            await frozen.EndAsync();
            throw;
        }
    }

    /// <summary>Whether it was frozen until now: false where its time was up before.</summary>
    public async Task<bool> ThawAsync()
    {
        bool held = Thaw(folder);
        await EndAsync();
        return held;
    }

    /// <summary>False where it was not frozen.</summary>
    public static bool Thaw(FileDescriptor folder)
    {
        if (Libc.IoctlNumber(folder, Libc.FITHAW, 0) == 0)
        {
            return true;
        }

        LinuxException error = LinuxException.Last("ioctl", "FITHAW");
        return error.Errno == Errno.Invalid ? false : throw error;
    }

    private static async Task StandsByAsync(FileDescriptor output, ReadinessPoller poller)
    {
        using PipeReadStream told = new(output, poller);
        byte[] some = new byte[1];
        if (await told.ReadAsync(some, CancellationToken.None) == 0)
        {
            throw new BerthException(
                ErrorCode.MissingTool,
                "'timeout' or 'fsfreeze' is not installed; a backup with running containers needs them. Install them: "
                + "'apt-get install coreutils util-linux' on Debian.");
        }
    }

    private void Freeze()
    {
        // While it is frozen there is less left to be written then.
        _ = Libc.SyncFs(folder);
        if (Libc.IoctlNumber(folder, Libc.FIFREEZE, 0) < 0)
        {
            throw LinuxException.Last("ioctl", "FIFREEZE");
        }
    }

    private async Task EndAsync()
    {
        try
        {
            await word.WriteAsync("."u8.ToArray(), CancellationToken.None);
        }
        catch (IOException)
        {
            // Its time was up, and it is gone.
        }

        await word.DisposeAsync();
        await standby.Exited;
        standby.Dispose();
    }
}
