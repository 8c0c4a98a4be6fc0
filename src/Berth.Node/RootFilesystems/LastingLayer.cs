using System.Globalization;
using System.Text;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Node.Linux;

namespace Berth.Node.RootFilesystems;

/// <summary>
/// The writable layer of a container that is to find its files again: an ext4 file system of limited size in a sparse
/// file. Mounted it has <c>upper</c> and <c>work</c> for overlayfs, and <c>owner</c>, which says whose ids its files
/// have.
/// </summary>
internal sealed class LastingLayer : IDisposable
{
    /// <summary>More than what the file system's own tables take at first.</summary>
    private const int FirstBytes = 1024 * 1024;

    /// <summary>Room for the file system's own tables.</summary>
    public static readonly ByteSize LeastSize = ByteSize.MiB(16);

    private const string Tool = "/sbin/mkfs.ext4";

    /// <summary>How long the sandbox before may take to be gone.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(5);

    private readonly string place;
    private readonly FileStream held;

    private LastingLayer(string place, FileStream held)
    {
        this.place = place;
        this.held = held;
    }

    public string Upper => place + "/upper";

    public string Work => place + "/work";

    private string OwnerFile => place + "/owner";

    /// <summary>
    /// Makes the file where it is missing and mounts it. A file that exists keeps its size. Waits until whoever had it
    /// before is gone: mounted twice it would be destroyed. Throws BerthException (MissingTool, NodeFault) and what
    /// the disk answers.
    /// </summary>
    public static async Task<LastingLayer> MountAsync(
        string file, ByteSize size, string place, ReadinessPoller poller, TimeProvider time,
        CancellationToken cancellationToken)
    {
        if (!File.Exists(file))
        {
            await MakeAsync(file, size, poller, cancellationToken);
        }

        FileStream held = await HoldAsync(file, time, cancellationToken);
        try
        {
            Directory.CreateDirectory(place);
            using FileDescriptor device = LoopDevice.Attach(file, out string path);
            Mounts.Mount(
                path, place, "ext4", MountFlags.NoDevices | MountFlags.NoSetUserId | MountFlags.NoAccessTimes,
                "errors=remount-ro");
            return new LastingLayer(place, held);
        }
        catch
        {
            await held.DisposeAsync();
            throw;
        }
    }

    /// <summary>Another sandbox may have it now.</summary>
    public void Dispose() => held.Dispose();

    /// <summary>Out of this machine's tree; an overlay that has it keeps it, and the device with it.</summary>
    public void Detach() => Mounts.Unmount(place, lazy: true);

    /// <summary>Makes the files those of a range of ids, and the folders where they are missing.</summary>
    public void GiveTo(OwnerRange owner)
    {
        uint? previous = PreviousOwner;
        if (previous is null)
        {
            Directory.CreateDirectory(Work);
            Directory.CreateDirectory(Upper);
            FileSystems.ChangeOwner(Upper, owner.First, owner.First);
        }
        else if (previous != owner.First)
        {
            // Killed in the middle it finds ids of both ranges the next time, and tells them apart.
            Shift(Upper, previous.Value, owner.First);
        }

        if (previous != owner.First)
        {
            WriteOwner(owner.First);
        }
    }

    /// <summary>Always as long, over what is there: it takes no block that a full disk may not have, and is never
    /// empty.</summary>
    private void WriteOwner(uint first)
    {
        using FileStream file = new(
            OwnerFile, FileMode.OpenOrCreate, FileAccess.Write, FileShare.None, bufferSize: 0);
        file.Write(Encoding.ASCII.GetBytes(first.ToString("D10", CultureInfo.InvariantCulture)));
    }

    private uint? PreviousOwner =>
        File.Exists(OwnerFile) && uint.TryParse(File.ReadAllText(OwnerFile), out uint first) ? first : null;

    private static async Task<FileStream> HoldAsync(
        string file, TimeProvider time, CancellationToken cancellationToken)
    {
        long begun = time.GetTimestamp();
        while (true)
        {
            FileStream? held = TryHold(file);
            if (held is not null && !LoopDevice.HasAny(file))
            {
                return held;
            }

            held?.Dispose();
            if (time.GetElapsedTime(begun) > Patience)
            {
                throw new BerthException(
                    ErrorCode.NodeFault, $"The writable layer {Path.GetFileName(file)} is in use by another sandbox.");
            }

            await Task.Delay(Pause, time, cancellationToken);
        }
    }

    private static FileStream? TryHold(string file)
    {
        try
        {
            return new FileStream(file, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static async Task MakeAsync(
        string file, ByteSize size, ReadinessPoller poller, CancellationToken cancellationToken)
    {
        if (!File.Exists(Tool))
        {
            throw new BerthException(
                ErrorCode.MissingTool,
                $"{Tool} is not installed; containers need it. Install it: 'apt-get install e2fsprogs' on Debian.");
        }

        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        string unfinished = file + ".new";
        using (FileStream made = new(unfinished, FileMode.Create, FileAccess.Write))
        {
            made.SetLength(Math.Max(size.Bytes, LeastSize.Bytes));
        }

        using PidHandle program = Spawner.Start(
            new SpawnSpec(
                Tool,
                [
                    "-q", "-F", "-b", "4096", "-m", "0", "-J", "size=4", "-O", "^resize_inode",
                    "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", unfinished,
                ]),
            poller);
        ProgramEnd? end = await program.Exited.WaitAsync(cancellationToken);
        if (end is not { Succeeded: true })
        {
            try
            {
                // Throws what the tool may have met.
                await File.WriteAllBytesAsync(unfinished, new byte[FirstBytes], cancellationToken);
            }
            finally
            {
                File.Delete(unfinished);
            }

            throw new BerthException(ErrorCode.NodeFault, $"A writable layer could not be made: {Tool} {end}.");
        }

        File.Move(unfinished, file);
    }

    private static void Shift(string path, uint from, uint to)
    {
        FileOwner owner = FileSystems.OwnerOf(path);
        FileSystems.ChangeOwner(path, Shifted(owner.User, from, to), Shifted(owner.Group, from, to));
        if (owner.IsLink)
        {
            return;
        }

        // A change of owner takes these bits away (chown(2)).
        File.SetUnixFileMode(path, owner.Mode);
        if (owner.IsFolder)
        {
            foreach (string entry in Directory.EnumerateFileSystemEntries(path))
            {
                Shift(entry, from, to);
            }
        }
    }

    private static uint Shifted(uint id, uint from, uint to) => id - from < OwnerRange.Size ? id - from + to : id;
}
