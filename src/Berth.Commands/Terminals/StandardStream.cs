using Berth.Core.Errors;
using Berth.Core.Streams;
using Berth.Oci.Unix;
using Microsoft.Win32.SafeHandles;

namespace Berth.Commands.Terminals;

/// <summary>
/// Standard output or error for writing, told truly: the console's own stream hides that nobody reads any more. What
/// can't be written to standard output is an <see cref="OutputException"/>, so that it is never taken for a fault of
/// the connection it came from; what can't be written to standard error is lost.
/// </summary>
internal sealed class StandardStream : SequentialStream
{
    private const int OutputDescriptor = 1;
    private const int ErrorDescriptor = 2;

    private readonly int descriptor;
    private readonly FileStream? file;
    private readonly bool mustArrive;

    private StandardStream(int descriptor, bool mustArrive)
    {
        this.descriptor = descriptor;
        this.mustArrive = mustArrive;
        try
        {
            file = new FileStream(new SafeFileHandle(descriptor, ownsHandle: false), FileAccess.Write, bufferSize: 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            // Closed by whoever started this: they want nothing of it.
            file = null;
        }
    }

    public override bool CanWrite => true;

    public static StandardStream Output() => new(OutputDescriptor, mustArrive: true);

    public static StandardStream Error() => new(ErrorDescriptor, mustArrive: false);

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        try
        {
            if (file is { CanSeek: true })
            {
                // A regular file, which the shell and our other stream write to as well, each where the last one ended.
                OpenDescriptor.Write(descriptor, buffer, $"descriptor {descriptor}");
                return;
            }

            file?.Write(buffer);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or BerthException)
        {
            Lose(e is BerthException ? e.InnerException ?? e : e);
        }
    }

    public override async ValueTask WriteAsync(
        ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (file is { CanSeek: true })
        {
            Write(buffer.Span);
            return;
        }

        try
        {
            await (file?.WriteAsync(buffer, cancellationToken) ?? ValueTask.CompletedTask);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Lose(e);
        }
    }

    private void Lose(Exception error)
    {
        if (mustArrive)
        {
            throw new OutputException(error);
        }
    }
}
