using System.Buffers.Binary;
using System.Text;
using Berth.Init.Protocol;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace Berth.Tests.Init;

/// <summary>The frames between node and init: what is written is read again, and nothing else is accepted.</summary>
public sealed class FrameTests
{
    private static readonly byte[] Filter = [6, 0, 0, 0, 0, 0, 0xFF, 0x7F];

    [Fact]
    public void A_start_frame_is_read_as_it_was_written()
    {
        byte[] payload = Payload(StartFrame.Encode(
            "alice:users"u8, "/work"u8, [Bytes("sh"), Bytes("-c"), Bytes("")], [Bytes("A=1"), Bytes("B=ü=")]));

        Assert.True(StartFrame.TryDecode(payload, out StartFrame? frame));

        Assert.Equal("alice:users", Text(payload, frame!.User));
        Assert.Equal("/work", Text(payload, frame.WorkingDirectory));
        Assert.Equal(["sh", "-c", ""], frame.Arguments.Select(a => Text(payload, a)));
        Assert.Equal(["A=1", "B=ü="], frame.Environment.Select(e => Text(payload, e)));
        Assert.All(frame.Arguments, a => Assert.Equal(0, payload[a.Offset + a.Length]));
    }

    [Fact]
    public void A_lanes_program_has_four_descriptors_and_a_further_one_never_does()
    {
        byte[] start = Payload(StartFrame.Encode(""u8, "/"u8, [Bytes("x")], [], StandardStreams.WithProgress));
        byte[] exec = Payload(ExecFrame.Encode(1, ""u8, "/"u8, [Bytes("x")], [], StandardStreams.WithProgress));

        Assert.True(StartFrame.TryDecode(start, out StartFrame? frame));
        Assert.Equal(4, frame!.Descriptors);
        Assert.False(ExecFrame.TryDecode(exec, out _));
    }

    [Fact]
    public void Every_start_frame_that_can_be_written_can_be_read()
    {
        Prop.ForAll<NonEmptyString[], NonEmptyString[]>((arguments, values) =>
        {
            byte[][] command = [Bytes("x"), .. arguments.Select(a => Bytes(a.Get.Replace('\0', ' ')))];
            byte[][] environment = [.. values.Select(v => Bytes("K=" + v.Get.Replace('\0', ' ')))];
            byte[] payload = Payload(StartFrame.Encode(""u8, "/"u8, command, environment));
            return StartFrame.TryDecode(payload, out StartFrame? frame)
                && frame!.Arguments.Select(a => Text(payload, a)).SequenceEqual(command.Select(Encoding.UTF8.GetString))
                && frame.Environment.Length == environment.Length;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void No_bytes_make_a_decoder_throw_or_read_past_the_end()
    {
        Prop.ForAll<byte[]>(bytes =>
        {
            DecodeAll(bytes);
            return true;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Any_byte_of_a_frame_may_be_damaged_or_missing()
    {
        byte[] payload = Payload(StartFrame.Encode(
            "1000"u8, "/work"u8, [Bytes("cat"), Bytes("-v")], [Bytes("PATH=/bin")]));

        for (int i = 0; i < payload.Length; i++)
        {
            foreach (byte value in new byte[] { 0, 1, 0x7F, 0x80, 0xFF })
            {
                byte[] damaged = [.. payload];
                damaged[i] = value;
                if (StartFrame.TryDecode(damaged, out StartFrame? frame))
                {
                    Assert.All(
                        (TextSlice[])[frame!.User, frame.WorkingDirectory, .. frame.Arguments, .. frame.Environment],
                        s => Assert.DoesNotContain((byte)0, damaged.AsSpan(s.Offset, s.Length).ToArray()));
                }
            }

            Assert.False(StartFrame.TryDecode(payload.AsSpan(0, i), out _));
        }

        Assert.False(StartFrame.TryDecode([.. payload, 0], out _));
    }

    [Fact]
    public void An_order_to_an_outer_container_is_read_as_it_was_written()
    {
        byte[] payload = Payload(OuterFrame.Encode(0x5FB, 1, 2, 3, [Bytes("/proc/kcore")], [Bytes("/proc/sys")]));

        Assert.True(OuterFrame.TryDecode(payload, out OuterFrame? frame));

        Assert.Equal(
            (0x5FB, 1, 2, 3), (frame!.Capabilities, frame.Writable, frame.WritableFiles, frame.SharedMemory));
        Assert.Equal(["/proc/kcore"], frame.Hidden.Select(h => Text(payload, h)));
        Assert.Equal(["/proc/sys"], frame.ReadOnly.Select(r => Text(payload, r)));
        Assert.All(
            Enumerable.Range(0, payload.Length), n => Assert.False(OuterFrame.TryDecode(payload.AsSpan(0, n), out _)));
        Assert.False(OuterFrame.TryDecode([.. payload, 0], out _));
    }

    [Theory]
    [InlineData(0, "/proc/sys")]
    [InlineData(-1, "/proc/sys")]
    [InlineData(1, "/etc/passwd")]
    [InlineData(1, "proc/sys")]
    public void An_outer_container_hides_only_what_is_in_proc_and_limits_everything(long bytes, string path)
    {
        Assert.False(OuterFrame.TryDecode(Payload(OuterFrame.Encode(0, bytes, 1, 1, [Bytes(path)], [])), out _));
        Assert.False(OuterFrame.TryDecode(Payload(OuterFrame.Encode(0, 1, bytes, 1, [], [Bytes(path)])), out _));
    }

    [Theory]
    [InlineData("", "/")]
    [InlineData("cat", "")]
    [InlineData("cat", "relative")]
    public void A_start_needs_a_command_and_an_absolute_folder(string command, string folder)
    {
        ReadOnlyMemory<byte> frame = StartFrame.Encode(""u8, Bytes(folder), [Bytes(command)], []);

        Assert.False(StartFrame.TryDecode(Payload(frame), out _));
    }

    [Theory]
    [InlineData("NAME")]
    [InlineData("=value")]
    public void An_environment_entry_needs_a_name(string entry)
    {
        ReadOnlyMemory<byte> frame = StartFrame.Encode(""u8, "/"u8, [Bytes("cat")], [Bytes(entry)]);

        Assert.False(StartFrame.TryDecode(Payload(frame), out _));
    }

    [Fact]
    public void Limits_hold_at_the_limit_and_one_past_it()
    {
        Assert.True(Decodes([new byte[FrameLimits.MaxText].Fill()]));
        Assert.False(Decodes([new byte[FrameLimits.MaxText + 1].Fill()]));
        Assert.True(Decodes([.. Enumerable.Repeat(Bytes("a"), FrameLimits.MaxTextCount)]));
        Assert.False(Decodes([.. Enumerable.Repeat(Bytes("a"), FrameLimits.MaxTextCount + 1)]));
        byte[] eighth = new byte[FrameLimits.MaxTexts / 16].Fill();
        Assert.True(Decodes([.. Enumerable.Repeat(eighth, 16)]));
        Assert.False(Decodes([.. Enumerable.Repeat(eighth, 16), Bytes("a")]));

        static bool Decodes(byte[][] arguments) =>
            StartFrame.TryDecode(Payload(StartFrame.Encode(""u8, "/"u8, arguments, [])), out _);
    }

    [Fact]
    public void A_length_that_promises_more_than_there_is_is_refused()
    {
        byte[] payload = new byte[64];
        BinaryPrimitives.WriteInt32LittleEndian(payload, int.MaxValue);
        Assert.False(StartFrame.TryDecode(payload, out _));

        BinaryPrimitives.WriteInt32LittleEndian(payload, -1);
        Assert.False(StartFrame.TryDecode(payload, out _));
    }

    [Fact]
    public void A_header_of_an_unknown_type_or_length_is_refused()
    {
        Assert.False(FrameHeader.TryDecode([0, 0, 0, 0, 0], out _));
        Assert.False(FrameHeader.TryDecode([0, 0, 0, 0, 72], out _));
        Assert.False(FrameHeader.TryDecode([0xFF, 0xFF, 0xFF, 0xFF, 1], out _));
        byte[] header = [0, 0, 0, 0, (byte)FrameType.Start];
        BinaryPrimitives.WriteInt32LittleEndian(header, FrameLimits.MaxPayload);
        Assert.True(FrameHeader.TryDecode(header, out FrameHeader largest));
        Assert.Equal(new FrameHeader(FrameType.Start, FrameLimits.MaxPayload), largest);
        BinaryPrimitives.WriteInt32LittleEndian(header, FrameLimits.MaxPayload + 1);
        Assert.False(FrameHeader.TryDecode(header, out _));
    }

    [Fact]
    public void A_boot_without_a_whole_filter_is_refused()
    {
        Assert.True(BootFrame.TryDecode(Payload(BootFrame.Encode(Filter)), out ReadOnlySpan<byte> filter));
        Assert.Equal(Filter, filter.ToArray());
        Assert.False(BootFrame.TryDecode(Payload(BootFrame.Encode([])), out _));
        Assert.False(BootFrame.TryDecode(Payload(BootFrame.Encode(Filter.AsSpan(1))), out _));
        byte[] later = Payload(BootFrame.Encode(Filter));
        later[0]++;
        Assert.False(BootFrame.TryDecode(later, out _));
    }

    [Fact]
    public void Reports_are_read_as_they_were_written()
    {
        ExitedFrame exit = new(7, 0, 1_000_000, 20, 4096);
        Assert.True(ExitedFrame.TryDecode(Payload(exit.Encode()), out ExitedFrame read));
        Assert.Equal(exit, read);

        byte[] refused = Payload(new RefusedFrame(RefusalReason.User, 22, "no such"u8).Encode());
        Assert.True(RefusedFrame.TryDecode(refused, out RefusedFrame refusal));
        Assert.Equal((RefusalReason.User, 22, "no such"),
            (refusal.Reason, refusal.Errno, Encoding.UTF8.GetString(refusal.Detail)));

        byte[] failed = Payload(new FailedFrame(11, new byte[FrameLimits.MaxDetail + 1]).Encode());
        Assert.True(FailedFrame.TryDecode(failed, out FailedFrame failure));
        Assert.Equal(FrameLimits.MaxDetail, failure.Detail.Length);
    }

    [Theory]
    [InlineData(256, 0, 0)]
    [InlineData(-1, 0, 0)]
    [InlineData(0, 65, 0)]
    [InlineData(0, 0, -1)]
    public void An_end_that_can_not_be_is_refused(int exitCode, int signal, long time)
    {
        ExitedFrame exit = new(exitCode, signal, time, 0, 0);

        Assert.False(ExitedFrame.TryDecode(Payload(exit.Encode()), out _));
    }

    [Fact]
    public void A_start_says_how_long_ago_it_was_and_an_order_how_long_that_may_wait()
    {
        StartedFrame told = new(42, 1_234_567);
        byte[] start = Payload(StartFrame.Encode(""u8, "/"u8, [Bytes("x")], [], patience: 10));

        Assert.True(StartedFrame.TryDecode(Payload(told.Encode()), out StartedFrame read));
        Assert.Equal(told, read);
        Assert.True(StartFrame.TryDecode(start, out StartFrame? order));
        Assert.Equal(10, order!.Patience);
    }

    [Fact]
    public void A_program_is_scheduled_in_the_ways_there_are_and_in_no_other()
    {
        byte[] start = Payload(StartFrame.Encode(
            ""u8, "/"u8, [Bytes("x")], [], scheduling: ProgramScheduling.Batch));
        byte[] unknown = Payload(StartFrame.Encode(""u8, "/"u8, [Bytes("x")], [], scheduling: (ProgramScheduling)2));

        Assert.True(StartFrame.TryDecode(start, out StartFrame? order));
        Assert.Equal(ProgramScheduling.Batch, order!.Scheduling);
        Assert.False(StartFrame.TryDecode(unknown, out _));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(-1, 0)]
    [InlineData(1, -1)]
    [InlineData(1, long.MaxValue)]
    public void A_start_that_cannot_be_is_refused(int pid, long since) =>
        Assert.False(StartedFrame.TryDecode(Payload(new StartedFrame(pid, since).Encode()), out _));

    private static void DecodeAll(byte[] bytes)
    {
        _ = FrameHeader.TryDecode(bytes, out _);
        _ = BootFrame.TryDecode(bytes, out _);
        _ = StartFrame.TryDecode(bytes, out _);
        _ = RefusedFrame.TryDecode(bytes, out _);
        _ = FailedFrame.TryDecode(bytes, out _);
        _ = ExitedFrame.TryDecode(bytes, out _);
        _ = PlainFrames.TryDecodeReady(bytes);
        _ = PlainFrames.TryDecodeSignal(bytes, out _);
        _ = StartedFrame.TryDecode(bytes, out _);
    }

    private static byte[] Payload(ReadOnlyMemory<byte> frame)
    {
        Assert.True(FrameHeader.TryDecode(frame.Span[..FrameLimits.HeaderBytes], out FrameHeader header));
        Assert.Equal(frame.Length - FrameLimits.HeaderBytes, header.Length);
        return frame[FrameLimits.HeaderBytes..].ToArray();
    }

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    private static string Text(byte[] payload, TextSlice slice) =>
        Encoding.UTF8.GetString(payload, slice.Offset, slice.Length);
}

internal static class FilledBytes
{
    public static byte[] Fill(this byte[] bytes)
    {
        Array.Fill(bytes, (byte)'x');
        return bytes;
    }
}
