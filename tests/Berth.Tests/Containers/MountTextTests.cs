using Berth.Api.Containers;
using Berth.Commands.Containers;
using Berth.Core.Errors;
using Xunit;

namespace Berth.Tests.Containers;

public sealed class MountTextTests
{
    [Theory]
    [InlineData("type=tmpfs,target=/x,readonly", true, null)]
    [InlineData("type=tmpfs,target=/x,readonly=true,tmpfs-size=64m", true, "64m")]
    [InlineData("type=tmpfs,target=/x,readonly=false", false, null)]
    [InlineData("type=tmpfs,target=/x", false, null)]
    public void A_folder_in_memory_may_be_for_reading_only(string text, bool readOnly, string? size) =>
        Assert.Equal(new MountView("memory", null, "/x", readOnly, size), MountText.OfMount(text));

    [Theory]
    [InlineData("/x:ro", true, null)]
    [InlineData("/x:size=1Mi,ro", true, "1Mi")]
    [InlineData("/x:rw,size=1Mi", false, "1Mi")]
    [InlineData("/x", false, null)]
    public void The_short_form_says_so_too(string text, bool readOnly, string? size) =>
        Assert.Equal(new MountView("memory", null, "/x", readOnly, size), MountText.OfTemporary(text));

    [Fact]
    public void Options_that_would_be_ignored_are_refused()
    {
        BerthException refused = Assert.Throws<BerthException>(() => MountText.OfTemporary("/x:noexec"));

        Assert.Equal(ErrorCode.InvalidRequest, refused.Code);
        Assert.Contains("'noexec'", refused.Message, StringComparison.Ordinal);
    }
}
