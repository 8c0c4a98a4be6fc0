using System.Buffers;
using System.IO.Pipelines;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Berth.Api.Links;

/// <summary>Reads frames from one direction of a stream of the link, one after the other.</summary>
public sealed class FrameReader(PipeReader reader)
{
    private ReadOnlySequence<byte> buffer;
    private bool held;
    private bool isLast;

    /// <summary>The next frame, which stays readable until the next call. Null at the end.</summary>
    /// <exception cref="LinkException">What came is no frame, or the end came within one.</exception>
    public async ValueTask<Frame?> ReadAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            if (TryRead(out Frame frame))
            {
                return frame;
            }

            if (held)
            {
                if (isLast)
                {
                    return buffer.IsEmpty ? null : throw new LinkException("A stream of the link ends within a frame.");
                }

                reader.AdvanceTo(buffer.Start, buffer.End);
                held = false;
            }

            ReadResult read = await reader.ReadAsync(cancellationToken);
            buffer = read.Buffer;
            isLast = read.IsCompleted;
            held = true;
        }
    }

    /// <summary>The next frame where it came together with the one before.</summary>
    /// <exception cref="LinkException">What came is no frame.</exception>
    public bool TryRead(out Frame frame)
    {
        if (held && LinkFrame.TryTake(ref buffer, out FrameKind kind, out ReadOnlySequence<byte> payload))
        {
            frame = new Frame(kind, payload);
            return true;
        }

        frame = default;
        return false;
    }
}

/// <param name="Payload">Readable until the next frame is read.</param>
public readonly record struct Frame(FrameKind Kind, ReadOnlySequence<byte> Payload)
{
    /// <exception cref="LinkException">It is not that.</exception>
    public T Read<T>(JsonTypeInfo<T> type)
        where T : class
    {
        try
        {
            Utf8JsonReader json = new(Payload);
            return JsonSerializer.Deserialize(ref json, type)
                ?? throw new LinkException($"A frame {Kind} holds nothing.");
        }
        catch (JsonException error)
        {
            throw new LinkException($"A frame {Kind} holds no {typeof(T).Name}: {error.Message}", error);
        }
    }
}
