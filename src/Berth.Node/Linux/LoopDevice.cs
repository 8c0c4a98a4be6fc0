using System.Globalization;
using System.Runtime.InteropServices;

namespace Berth.Node.Linux;

/// <summary>A file as a block device (loop(4)).</summary>
internal static class LoopDevice
{
    private const int Attempts = 64;

    /// <summary>
    /// Puts a file on a free device, which the kernel frees again with its last mount and descriptor. Throws
    /// LinuxException when there is none to be had.
    /// </summary>
    public static unsafe FileDescriptor Attach(string file, out string path)
    {
        using FileDescriptor control = Open("/dev/loop-control");
        using FileDescriptor backing = Open(file);
        for (int attempt = 1; ; attempt++)
        {
            int number = Libc.IoctlNumber(control, Libc.LOOP_CTL_GET_FREE, 0);
            if (number < 0)
            {
                throw LinuxException.Last("ioctl", "LOOP_CTL_GET_FREE");
            }

            path = string.Create(CultureInfo.InvariantCulture, $"/dev/loop{number}");
            FileDescriptor device = Open(path);
            Libc.LoopConfiguration configuration = new() { File = backing.Number, Flags = Libc.LO_FLAGS_AUTOCLEAR };
            if (Libc.IoctlLoop(device, Libc.LOOP_CONFIGURE, &configuration) == 0)
            {
                return device;
            }

            int errno = Marshal.GetLastPInvokeError();
            LinuxException error = LinuxException.Last("ioctl", $"LOOP_CONFIGURE {path}");
            device.Dispose();
            // Somebody else took it in between.
            if (errno != Errno.Busy || attempt == Attempts)
            {
                throw error;
            }
        }
    }

    /// <summary>Whether a file is a device somewhere still: after its last mount goes, the kernel takes a moment to let
    /// go of it.</summary>
    public static bool HasAny(string file) => Find(file) is not null;

    /// <summary>The device that a file is, which it stays until this is disposed; null where it is none.</summary>
    public static FileDescriptor? TryOpen(string file, out string path)
    {
        while (Find(file) is { } found)
        {
            FileDescriptor device = Open(found);
            // Between the look and the opening it may have become another file's.
            if (Find(file) == found)
            {
                path = found;
                return device;
            }

            device.Dispose();
        }

        path = "";
        return null;
    }

    private static string? Find(string file)
    {
        foreach (string device in Directory.EnumerateDirectories("/sys/block", "loop*"))
        {
            try
            {
                if (File.ReadAllText(device + "/loop/backing_file").TrimEnd('\n') == file)
                {
                    return "/dev/" + Path.GetFileName(device);
                }
            }
            catch (IOException)
            {
                // Free.
            }
        }

        return null;
    }

    private static FileDescriptor Open(string path)
    {
        int number = Libc.Open(path, Libc.O_RDWR | Libc.O_CLOEXEC, 0);
        return number >= 0 ? new FileDescriptor(number) : throw LinuxException.Last("open", path);
    }
}
